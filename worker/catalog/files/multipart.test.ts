import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boundaryOf, fieldText, readParts } from "./multipart.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A body, cut into pieces of the given sizes in turn. */
async function* cut(body: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < body.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield body.slice(at, at + size);
    at += size;
  }
}

interface Read {
  name: string;
  filename: string | null;
  type: string | null;
  bytes: number[];
}

async function readAll(body: Uint8Array, boundary: string, sizes: readonly number[] = [body.length]): Promise<Read[]> {
  const parts: Read[] = [];
  for await (const part of readParts(cut(body, sizes), boundary)) {
    const bytes: number[] = [];
    for await (const chunk of part.body) bytes.push(...chunk);
    parts.push({ name: part.name, filename: part.filename, type: part.contentType, bytes });
  }
  return parts;
}

/** A form as the platform writes it. */
async function written(fields: readonly [string, string | File][]): Promise<[Uint8Array, string]> {
  const form = new FormData();
  for (const [name, value] of fields) form.append(name, value);
  const response = new Response(form);
  return [new Uint8Array(await response.arrayBuffer()), boundaryOf(response.headers.get("content-type"))];
}

describe("a form", () => {
  it("is read as it was written, regardless of how it is cut", async () => {
    const contents = fc.array(fc.oneof(fc.constantFrom(13, 10, 45), fc.nat(255)), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(contents, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), async (bytes, sizes) => {
        const file = new File([Uint8Array.from(bytes)], 'ä "1".bin', { type: "image/png" });
        const [body, boundary] = await written([
          ["before", "1\r\n--2"],
          ["file", file],
          ["after", ""],
        ]);
        expect(await readAll(body, boundary, sizes)).toEqual([
          { name: "before", filename: null, type: null, bytes: [...encode("1\r\n--2")] },
          { name: "file", filename: 'ä "1".bin', type: "image/png", bytes },
          { name: "after", filename: null, type: null, bytes: [] },
        ]);
      }),
      { numRuns: 50 },
    );
  });

  it("skips unread parts, the preamble and the epilogue", async () => {
    const body = encode(
      'preamble\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nleft\r\n--b  \r\nCONTENT-DISPOSITION: form-data; name=c\r\n\r\nread\r\n--b--\r\nepilogue',
    );
    const texts: string[] = [];
    for await (const part of readParts(cut(body, [3]), "b")) if (part.name === "c") texts.push(await fieldText(part));
    expect(texts).toEqual(["read"]);
  });

  it("may end right after its last boundary, without a line end", async () => {
    const body = encode('--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx\r\n--b--');
    for (const size of [1, 2, 7, body.length]) expect((await readAll(body, "b", [size])).length).toBe(1);
  });

  const part = 'content-disposition: form-data; name="a"\r\n';
  it.each([
    ["nothing", "", "ends before"],
    ["no boundary", "hello", "ends before"],
    ["the middle of a part", `--b\r\n${part}\r\nhalf`, "ends before"],
    ["the middle of the headers", `--b\r\n${part}`, "ends before"],
    ["a part without a name", "--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n", "without a name"],
    [
      "a part that is not form-data",
      '--b\r\ncontent-disposition: attachment; name="a"\r\n\r\nx\r\n--b--',
      "without a name",
    ],
    ["endless headers", `--b\r\nx: ${"y".repeat(20_000)}`, "too long headers"],
    ["many headers", `--b\r\n${"x: yyyyyyyyyyyyyyyyyyyy\r\n".repeat(1_000)}`, "too long headers"],
    ["a boundary that goes on", `--bc\r\n${part}\r\nx\r\n--b--`, "goes on"],
  ])("of %s is refused", async (_name, text, says) => {
    await expect(readAll(encode(text), "b", [5])).rejects.toThrow(says);
  });

  it("has fields that are text and not too long", async () => {
    const read = async (bytes: Uint8Array): Promise<string> => {
      const body = new Uint8Array([...encode(`--b\r\n${part}\r\n`), ...bytes, ...encode("\r\n--b--")]);
      for await (const one of readParts(cut(body, [1_000]), "b")) return await fieldText(one);
      return "";
    };
    expect(await read(encode("grüße"))).toBe("grüße");
    await expect(read(Uint8Array.from([0xff]))).rejects.toThrow("not UTF-8");
    await expect(read(new Uint8Array(70_000))).rejects.toThrow("more than 65536");
  });
});

describe("a boundary", () => {
  it.each([
    ["multipart/form-data; boundary=abc", "abc"],
    ['Multipart/Form-Data; charset=utf-8; boundary="a b"', "a b"],
    ["multipart/form-data;boundary=----x", "----x"],
  ])("is found in %s", (type, boundary) => {
    expect(boundaryOf(type)).toBe(boundary);
  });

  it.each([
    null,
    "",
    "application/json",
    "multipart/form-data",
    "multipart/mixed; boundary=a",
    `multipart/form-data; boundary=${"a".repeat(71)}`,
  ])("is not found in %s", (type) => {
    expect(() => boundaryOf(type)).toThrow("multipart/form-data");
  });
});
