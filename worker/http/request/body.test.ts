import { RequestRefused } from "@gantry/protocol/error.ts";
import type { ApiError } from "@gantry/protocol/error.ts";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Hono } from "hono";
import { MAX_BODY_BYTES, discardBody, drainRefused, readJson } from "./body.ts";
import type { App } from "./context.ts";

const Body = z.strictObject({
  prompt: z.string(),
  maxTurns: z.number().int().positive().optional(),
  args: z.array(z.string()).optional(),
  deep: z.strictObject({ list: z.array(z.strictObject({ name: z.string() })) }).optional(),
  either: z.union([z.string(), z.strictObject({ type: z.literal("url"), url: z.string() })]).optional(),
  events: z
    .array(
      z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("a"), x: z.number() }),
        z.strictObject({ type: z.literal("b") }),
      ]),
    )
    .optional(),
});

const post = (body: BodyInit | null, headers: Record<string, string> = {}): Request =>
  new Request("http://localhost/", { method: "POST", body, headers, duplex: "half" } as RequestInit);

async function refusal(request: Request): Promise<ApiError> {
  const error: unknown = await readJson(request, Body).then(
    () => new Error("accepted"),
    (reason: unknown) => reason,
  );
  if (error instanceof RequestRefused) return error.error;
  throw error;
}

const bytes = (...parts: (string | number[])[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part as string))));

it("sec/H1 a body that is nested deeper than 64 levels is refused before anything handles it", async () => {
  const deep = `{"prompt":${'{"a":'.repeat(5000)}1${"}".repeat(5000)}}`;
  expect(await refusal(post(deep))).toEqual({
    code: "invalid_request",
    field: "body",
    reason: "nested deeper than 64 levels",
  });
});

describe("an accepted body", () => {
  it.each<[string, BodyInit]>([
    ["a text", '{"prompt":"hé😀"}'],
    ["white space around it", ' \r\n\t{"prompt":"hé😀"} \n'],
    ["a byte order mark before it", bytes([0xef, 0xbb, 0xbf], '{"prompt":"hé😀"}')],
    ["escaped characters", '{"prompt":"h\\u00e9\\ud83d\\ude00"}'],
  ])("%s", async (_name, body) => {
    expect(await readJson(post(body), Body)).toEqual({ prompt: "hé😀" });
  });

  it("is read whatever its content type says, as curl -d sends it", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(await readJson(post('{"prompt":"x"}', headers), Body)).toEqual({ prompt: "x" });
  });

  it("may arrive in pieces that split characters", async () => {
    const whole = bytes('{"prompt":"hé😀"}');
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of whole) controller.enqueue(new Uint8Array([byte]));
        controller.close();
      },
    });
    expect(await readJson(post(body), Body)).toEqual({ prompt: "hé😀" });
  });

  it("may have ten megabytes", async () => {
    const prompt = "x".repeat(MAX_BODY_BYTES - '{"prompt":""}'.length);
    expect((await readJson(post(`{"prompt":"${prompt}"}`), Body)).prompt.length).toBe(prompt.length);
  });
});

describe("a body that is not JSON", () => {
  it.each<[string, BodyInit | null]>([
    ["nothing", null],
    ["empty", ""],
    ["cut short", '{"prompt":"x"'],
    ["two values", '{"prompt":"x"}{}'],
    ["single quotes", "{'prompt':'x'}"],
    ["a form", "prompt=x"],
    ["not UTF-8", bytes('{"prompt":"', [0xff, 0xfe], '"}')],
    ["half a character", bytes('{"prompt":"', [0xf0, 0x9f, 0x98], '"}')],
  ])("%s", async (_name, body) => {
    expect((await refusal(post(body))).code).toBe("malformed_json");
  });
});

describe("the field that is named", () => {
  it.each<[body: unknown, field: string]>([
    [null, "body"],
    [[], "body"],
    ["text", "body"],
    [{}, "prompt"],
    [{ prompt: 7 }, "prompt"],
    [{ prompt: null }, "prompt"],
    [{ prompt: "x", maxTurns: -1 }, "maxTurns"],
    [{ prompt: "x", maxTurns: "3" }, "maxTurns"],
    [{ prompt: "x", args: "y" }, "args"],
    [{ prompt: "x", args: ["a", 1] }, "args[1]"],
    [{ prompt: "x", deep: {} }, "deep.list"],
    [{ prompt: "x", deep: { list: [{ name: "a" }, {}] } }, "deep.list[1].name"],
    [{ prompt: "x", promt: "y" }, "promt"],
    [{ prompt: "x", deep: { list: [], lsit: 1 } }, "deep.lsit"],
    [{ prompt: "x", either: 7 }, "either"],
    [{ prompt: "x", either: { type: "url" } }, "either.url"],
    [{ prompt: "x", either: { type: "url", url: "y", more: 1 } }, "either.more"],
    [{ prompt: "x", events: [{ type: "b" }, { type: "a" }] }, "events[1].x"],
    [{ prompt: "x", events: [{ type: "c" }] }, "events[0].type"],
    [{ prompt: "x", events: [{ type: "b", x: 1 }] }, "events[0].x"],
    [{ prompt: "x", ["__proto__"]: 1, constructor: 1 }, "__proto__"],
  ])("%j", async (body, field) => {
    const error = await refusal(post(JSON.stringify(body)));
    expect(error.code).toBe("invalid_request");
    expect(error).toMatchObject({ field });
    expect("reason" in error && error.reason).toBeTruthy();
  });
});

describe("a body that is too large", () => {
  /** A body of the given size in pieces; `read` returns the bytes read so far. */
  function large(size: number): { body: ReadableStream<Uint8Array>; read: () => number } {
    let read = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          if (read >= size) return controller.close();
          const piece = Math.min(1024 * 1024, size - read);
          read += piece;
          controller.enqueue(new Uint8Array(piece).fill(32));
        },
      },
      { highWaterMark: 0 },
    );
    return { body, read: () => read };
  }

  it.each([
    ["one byte", MAX_BODY_BYTES + 1],
    ["twice", 2 * MAX_BODY_BYTES],
  ])("by %s is refused but read to its end, so that the client sees the answer", async (_name, size) => {
    const { body, read } = large(size);
    expect(await refusal(post(body))).toEqual({ code: "body_too_large", maxBytes: MAX_BODY_BYTES });
    expect(read()).toBe(size);
  });

  it("without an end is not read forever", async () => {
    const { body, read } = large(Infinity);
    expect((await refusal(post(body))).code).toBe("body_too_large");
    expect(read()).toBeLessThan(10 * MAX_BODY_BYTES);
  });

  it("is discarded up to a limit", async () => {
    const small = large(3 * MAX_BODY_BYTES);
    await discardBody(post(small.body));
    expect(small.read()).toBe(3 * MAX_BODY_BYTES);
    const endless = large(Infinity);
    await discardBody(post(endless.body));
    expect(endless.read()).toBeLessThan(10 * MAX_BODY_BYTES);
  });

  it("is discarded without an error when it is missing, broken or already read", async () => {
    await discardBody(new Request("http://localhost/"));
    const used = post("x");
    await used.text();
    await discardBody(used);
    const broken = new ReadableStream({ start: (controller) => controller.error(new Error("gone")) });
    await discardBody(post(broken));
  });
});

describe("a body that never ends, of a refused request", () => {
  /** A body of one byte and then nothing. `isCancelled` says whether its reader gave up. */
  function stalled(): { body: ReadableStream<Uint8Array>; isCancelled: () => boolean } {
    let isCancelled = false;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(1)),
      cancel: () => void (isCancelled = true),
    });
    return { body, isCancelled: () => isCancelled };
  }

  /** An app that refuses every request, from a known sender or from a stranger. */
  function refusing(isKnown: boolean): Hono<App> {
    const app = new Hono<App>();
    app.use(drainRefused);
    app.use(async (c) => {
      await Promise.resolve();
      if (isKnown) c.set("principal", { account: "a", keyId: "k", scopes: ["sessions"] });
      return c.text("refused", isKnown ? 400 : 401);
    });
    return app;
  }

  it("sec/H3 does not hold back a stranger's answer", async () => {
    const started = Date.now();
    const response = await refusing(false).request(post(stalled().body));
    expect([response.status, Date.now() - started < 500]).toEqual([401, true]);
  });

  it("sec/H3 holds back a known sender's answer for seconds only", async () => {
    const { body, isCancelled } = stalled();
    const started = Date.now();
    const response = await refusing(true).request(post(body));
    expect([response.status, Date.now() - started < 5_000, isCancelled()]).toEqual([400, true, true]);
  });

  it("sec/H3 is given up when it is slow in total", async () => {
    let isCancelled = false;
    const drip = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        controller.enqueue(new Uint8Array(1));
      },
      cancel: () => void (isCancelled = true),
    });
    await discardBody(post(drip), { totalMs: 100, idleMs: 50 });
    expect(isCancelled).toBe(true);
  });
});
