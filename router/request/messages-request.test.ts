import { describe, expect, test } from "vitest";
import { MessagesRequest } from "./messages-request.ts";

const REST = '"max_tokens":9,"messages":[{"role":"user","content":"x"}]';

async function request(text: string): Promise<MessagesRequest> {
  const checked = await MessagesRequest.from(new TextEncoder().encode(text), "messages");
  if (!checked.ok) throw new Error(checked.failure.message);
  return checked.value;
}

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes);

test.each(["messages", "count_tokens"] as const)("sec/H1 %s refuses a body that is nested too deep", async (kind) => {
  const deep = `${'{"a":'.repeat(64)}1${"}".repeat(64)}`;
  const raw = new TextEncoder().encode(`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":${deep}}]}`);
  const { ok, failure } = (await MessagesRequest.from(raw, kind)) as { ok: boolean; failure?: { message: string } };
  expect(ok).toBe(false);
  expect(failure?.message).toBe("body: nested deeper than 64 levels");
});

describe("a request", () => {
  test.each<[how: string, text: string]>([
    ["that is skimmed", `{"model":"m","stream":true,${REST}}`],
    ["with an escape in a name", String.raw`{"mod\u0065l":"m","stream":true,` + `${REST}}`],
    ["with a duplicate name", `{"model":"first","model":"m","stream":true,${REST}}`],
    ["after a byte order mark", `\uFEFF{"model":"m","stream":true,${REST}}`],
  ])("%s means the same", async (_, said) => {
    const it = await request(said);
    expect(it).toMatchObject({ model: "m", maxTokens: 9, streams: true });
    expect([it.has("max_tokens"), it.has("model"), it.has("tools")]).toEqual([true, true, false]);
    expect(await it.body()).toMatchObject({ ok: true, value: { model: "m", messages: [{ content: "x" }] } });
  });

  test.each<[asked: string, sent: string | undefined]>([
    [`{"model":"m",${REST}}`, `{"model":"new",${REST}}`],
    [`{ "tools":[{"model":"m"}],${REST}, "model" : "m" }`, `{ "tools":[{"model":"m"}],${REST}, "model" : "new" }`],
    [`{"x":"model",${REST},"model":"m"}`, `{"x":"model",${REST},"model":"new"}`],
    [
      String.raw`{"x":"\"model\":","model":"b\\",` + `${REST}}`,
      String.raw`{"x":"\"model\":","model":"new",` + `${REST}}`,
    ],
    [`{"model":"a","model":"m",${REST}}`, undefined],
  ])("%s is passed on with another model", async (asked, sent) => {
    const it = await request(asked);
    expect(text(it.withModel("new"))).toBe(sent);
    expect(it.withModel(it.model)).toBe(sent === undefined ? undefined : it.raw);
  });

  test("is not parsed before its body is requested, and then says what is wrong", async () => {
    const it = await request('{"model":"m","max_tokens":9,"messages":[oops]}');
    expect(it.model).toBe("m");
    expect(await it.body()).toMatchObject({
      ok: false,
      failure: { status: 400, message: expect.stringMatching("not JSON") },
    });
  });

  test.each([
    ["Z2FudHJ5", true],
    ["Z2Fudx", false],
    ["ZZ2FudHJ5Z", true],
  ])("knows whether it contains %s", async (sought, found) => {
    const it = await request(`{"model":"m","max_tokens":9,"messages":["Z","ZZ2FudHJ5Z"]}`);
    expect(it.mentions(sought)).toBe(found);
  });
});

describe("bytes of a request", () => {
  const said = `{"model":"m","max_tokens":9,"messages":["X"]}`;
  const withBytes = (...bytes: number[]): Uint8Array<ArrayBuffer> =>
    Uint8Array.from([...new TextEncoder().encode(said)].flatMap((byte) => (byte === 0x58 ? bytes : [byte])));
  test.each<[name: string, raw: Uint8Array, content: string | RegExp]>([
    ["that are not UTF-8 are refused", withBytes(0xc3), /it is not UTF-8/],
    ["of a replacement character are accepted", withBytes(0xef, 0xbf, 0xbd), "\uFFFD"],
    ["of any script are accepted", withBytes(0xe6, 0xbc, 0xa2), "漢"],
    ["may come after a byte order mark", Uint8Array.from([0xef, 0xbb, 0xbf, ...withBytes(0x58)]), "X"],
  ])("%s", async (_, raw, content) => {
    const checked = await MessagesRequest.from(raw, "messages");
    const body = checked.ok ? await checked.value.body() : checked;
    if (typeof content === "string") expect(body).toMatchObject({ ok: true, value: { messages: [content] } });
    else expect(body).toMatchObject({ ok: false, failure: { status: 400, message: expect.stringMatching(content) } });
  });
});

test.each<[text: string, message: RegExp]>([
  ['{"max_tokens":9,"messages":[1]}', /^model:/],
  ['{"model":tru,"max_tokens":9,"messages":[1]}', /not JSON/],
  ['{"model":"m","max_tokens":9,"messages":[ \n]}', /^messages:/],
  ['{"model":"m","max_tokens":9,"messages":{"0":1}}', /^messages:/],
  ['{"model":"m","max_tokens":"9","messages":[1]}', /^max_tokens:/],
  ['{"model":"m","messages":[1]}', /^max_tokens:/],
  ['{"model":"m","max_tokens":9,"stream":1,"messages":[1]}', /^stream:/],
  ['{"model":"m","max_tokens":9,"messages":[1]', /not JSON/],
])("%s is refused", async (said, message) => {
  const checked = await MessagesRequest.from(new TextEncoder().encode(said), "messages");
  expect(checked).toMatchObject({ ok: false, failure: { status: 400 } });
  expect(checked.ok ? "" : checked.failure.message).toMatch(message);
});
