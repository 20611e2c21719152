import { describe, expect, test } from "vitest";
import { createAttempts } from "../demo/attempts.ts";
import type { TestCall, TestDeps } from "../demo/testing/calls.ts";
import { engineBody, exchange, scripted, testCall, testDeps } from "../demo/testing/calls.ts";
import { createDemoUpstream } from "./demo.ts";

const play = (call: TestCall, deps: TestDeps = testDeps()): Promise<Response> => createDemoUpstream()(call, deps);
const json = async (response: Response): Promise<Record<string, unknown>> =>
  (await response.json()) as Record<string, unknown>;

/** Reads until the text holds `needle`, as a slow client does: one read at a time. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, needle: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes(needle)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The stream ended before ${needle}.`);
    text += decoder.decode(value, { stream: true });
  }
  return text;
}

describe("answers", () => {
  test("JSON when not streaming, and its usage", async () => {
    const call = await testCall({ ...engineBody("What is 7 * 6?"), stream: false });
    const response = await play(call);
    const body = await json(response);
    expect(response.headers.get("request-id")).toBe("req_test");
    expect(body).toMatchObject({
      type: "message",
      model: "demo/claude",
      stop_reason: "end_turn",
      content: [{ text: "7 * 6 = 42" }],
    });
    expect(call.usages).toEqual([
      {
        inputTokens: Math.ceil(call.request.raw.byteLength / 4),
        outputTokens: 3,
        cacheReadTokens: 0,
        cacheWriteTokens: 0,
      },
    ]);
  });

  test("a stream, and its usage", async () => {
    const call = await testCall(engineBody("What is 7 * 6?"));
    const response = await play(call);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(call.usages).toEqual([]);
    expect(await response.text()).toContain("message_stop");
    expect(call.usages).toHaveLength(1);
    expect(call.usages[0]?.outputTokens).toBe(3);
  });

  test("count_tokens counts the request, plays nothing and bills nothing", async () => {
    const call = await testCall(engineBody(scripted({ fail: { status: 500 } })), "count_tokens");
    expect(await json(await play(call))).toEqual({ input_tokens: Math.ceil(call.request.raw.byteLength / 4) });
    expect(call.usages).toEqual([]);
  });

  test("usage that a script gives", async () => {
    const call = await testCall(
      engineBody(
        scripted({
          text: "a",
          usage: { input_tokens: 1, output_tokens: 2, cache_read_input_tokens: 3, cache_creation_input_tokens: 4 },
        }),
      ),
    );
    await (await play(call)).text();
    expect(call.usages).toEqual([{ inputTokens: 1, outputTokens: 2, cacheReadTokens: 3, cacheWriteTokens: 4 }]);
  });

  test("an invalid script is the caller's error", async () => {
    const response = await play(await testCall(engineBody(scripted({ txt: "a" }))));
    expect(response.status).toBe(400);
    expect(await json(response)).toEqual({
      type: "error",
      error: { type: "invalid_request_error", message: 'Script step 1: unknown key "txt".' },
      request_id: "req_test",
    });
  });

  test("the engine's chores do not play the script", async () => {
    const failing = scripted({ fail: { status: 500 } });
    const compaction = await testCall(
      engineBody(failing, { role: "user", content: "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools." }),
    );
    const title = await testCall({
      ...engineBody(`<session>\n${failing}\n</session>`),
      system: "You are naming a coding session.",
    });
    for (const call of [compaction, title]) expect((await play(call)).status).toBe(200);
  });
});

describe("scripted failures", () => {
  test("for the first calls of a step only", async () => {
    const upstream = createDemoUpstream();
    const body = engineBody(
      scripted({ fail: { status: 529, times: 2, retryAfter: 3 }, text: "up" }, { fail: { status: 404, times: 1 } }),
    );
    const statuses: number[] = [];
    for (let at = 0; at < 4; at++) {
      const response = await upstream(await testCall(body), testDeps());
      statuses.push(response.status);
      if (at === 0) expect(response.headers.get("retry-after")).toBe("3");
      if (at === 0) expect(await json(response)).toMatchObject({ error: { type: "overloaded_error" } });
    }
    expect(statuses).toEqual([529, 529, 200, 200]);
    const next = { ...body, messages: [...body.messages, ...exchange("Bash", {}, "x")] };
    expect((await upstream(await testCall(next), testDeps())).status).toBe(404);
    expect((await upstream(await testCall(next), testDeps())).status).toBe(200);
  });

  test("for every call by default; nothing is billed", async () => {
    const upstream = createDemoUpstream();
    const call = await testCall(engineBody(scripted({ fail: { status: 401 } })));
    for (let at = 0; at < 5; at++) expect((await upstream(call, testDeps())).status).toBe(401);
    expect(call.usages).toEqual([]);
  });

  test("counters are bounded: the least recently used one is dropped", () => {
    const attempts = createAttempts(2);
    expect([
      attempts.next("a", 0),
      attempts.next("b", 0),
      attempts.next("a", 0),
      attempts.next("c", 0),
      attempts.next("a", 0),
      attempts.next("b", 0),
    ]).toEqual([1, 1, 2, 1, 3, 1]);
    expect(attempts.next("b", 1)).toBe(1);
  });
});

describe("pacing", () => {
  test("waits are requested one by one, as the reader pulls", async () => {
    const deps = testDeps();
    const response = await play(
      await testCall(engineBody(scripted({ text: "abcdef", chunk: 2, chunkMs: 5, ttftMs: 7 }))),
      deps,
    );
    expect(deps.waits).toEqual([7]);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, '"text":"ab"');
    expect(deps.waits).toEqual([7, 5]);
    await readUntil(reader, "message_stop");
    expect(deps.waits).toEqual([7, 5, 5, 5]);
  });

  test("without waits a long answer comes in pieces of bounded size", async () => {
    const response = await play(await testCall(engineBody(scripted({ text: "x".repeat(200_000), chunk: 10 }))));
    let most = 0;
    for await (const piece of response.body as ReadableStream<Uint8Array>) most = Math.max(most, piece.byteLength);
    expect(most).toBeLessThan(20_000);
  });

  test("a step that does not stream waits for its first byte only", async () => {
    const deps = testDeps();
    const body = engineBody(
      scripted({ text: "abc", chunk: 1, chunkMs: 5, ttftMs: 7, cutAfter: 0, streamError: "api_error" }),
    );
    const response = await play(await testCall({ ...body, stream: false }), deps);
    expect(await json(response)).toMatchObject({ content: [{ text: "abc" }] });
    expect(deps.waits).toEqual([7]);
  });
});

describe("streams that do not end well", () => {
  test("cut: the part already sent arrives, then the stream breaks", async () => {
    const call = await testCall(engineBody(scripted({ text: "abcdef", chunk: 2, cutAfter: 2 })));
    const deps = testDeps();
    const reader = ((await play(call, deps)).body as ReadableStream<Uint8Array>).getReader();
    const text = await readUntil(reader, '"text":"cd"');
    expect(text).not.toContain('"text":"ef"');
    await expect(reader.read()).rejects.toThrow("cut");
    // Time for what was sent to leave: a broken stream discards what is still on its way.
    expect(deps.waits).toEqual([30]);
    expect(call.usages).toMatchObject([{ outputTokens: 1 }]);
  });

  test("an error event is the last one", async () => {
    const call = await testCall(engineBody(scripted({ text: "ab", streamError: "overloaded_error" })));
    const text = await (await play(call)).text();
    expect(text).toMatch(/event: error\ndata: \{"type":"error","error":\{"type":"overloaded_error".*\}\n\n$/);
    expect(text).not.toContain("message_stop");
    expect(call.usages).toHaveLength(1);
  });
});

describe("an abort ends everything at once", () => {
  const gone = new Error("client went away");

  test("before the call", async () => {
    const call = await testCall(engineBody("hi"));
    call.abort.abort(gone);
    await expect(play(call)).rejects.toBe(gone);
  });

  test("before the first byte", async () => {
    const deps = testDeps(60_000);
    const call = await testCall(engineBody(scripted({ text: "a", ttftMs: 60_000 })));
    const response = play(call, deps);
    call.abort.abort(gone);
    await expect(response).rejects.toBe(gone);
    expect(deps.open()).toBe(0);
    expect(call.usages).toEqual([]);
  });

  test("in a stall", async () => {
    const deps = testDeps(60_000);
    const call = await testCall(engineBody(scripted({ text: "abcd", chunk: 2, stallAfter: 1, stallMs: 60_000 })));
    const reader = ((await play(call, deps)).body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, '"text":"ab"');
    const next = reader.read();
    await expect.poll(() => deps.open()).toBe(1);
    call.abort.abort(gone);
    await expect(next).rejects.toBe(gone);
    expect(deps.open()).toBe(0);
    expect(call.usages).toHaveLength(1);
  });

  test("while the stream is not read", async () => {
    const call = await testCall(engineBody(scripted({ text: "abcd" })));
    const response = await play(call);
    call.abort.abort(gone);
    expect(call.usages).toHaveLength(1);
    await expect(response.text()).rejects.toBe(gone);
    expect(call.usages).toHaveLength(1);
  });

  test("a reader that cancels", async () => {
    const deps = testDeps(60_000);
    const call = await testCall(engineBody(scripted({ text: "abcd", chunk: 2, chunkMs: 60_000 })));
    const reader = ((await play(call, deps)).body as ReadableStream<Uint8Array>).getReader();
    await readUntil(reader, "ping");
    const pending = reader.read();
    await expect.poll(() => deps.open()).toBe(1);
    await reader.cancel();
    await pending;
    await expect.poll(() => deps.open()).toBe(0);
    expect(call.usages).toHaveLength(1);
  });

  test("an abort after the end changes nothing", async () => {
    const call = await testCall(engineBody(scripted({ text: "abcd" })));
    const response = await play(call);
    await response.text();
    call.abort.abort(gone);
    expect(call.usages).toHaveLength(1);
  });
});
