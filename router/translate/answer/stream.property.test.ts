/** The client gets the same message however the network cuts a provider's stream into pieces. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Usage } from "../../base/usage.ts";
import { call, calls, chunk, end, usageChunk } from "../../conformance/case.ts";
import { nodeDeps } from "../../testing/call-upstream.ts";
import { readMessage } from "../../testing/read-message.ts";
import { CallIds } from "../round-trip/call-ids.ts";
import { ToolNames } from "../round-trip/tools.ts";
import { StreamPump } from "./pump.ts";
import { MessageStream } from "./stream.ts";

const usage = {
  prompt_tokens: 100,
  completion_tokens: 20,
  total_tokens: 120,
  prompt_tokens_details: { cached_tokens: 7 },
};

/** One of everything, with characters of one to four bytes. */
const CHUNKS = [
  chunk({ role: "assistant", content: "" }),
  chunk({ reasoning: "Größe? " }),
  chunk({ reasoning: "漢字 😀" }),
  chunk({ content: "\n" }),
  chunk({ content: "Ich prüfe 😀" }),
  calls(call(0, { id: "c1", name: "Read", args: "" })),
  calls(call(0, { args: '{"path":' }), call(1, { id: "c2", name: "Grep", args: '{"q":"' })),
  calls(call(1, { args: "ä漢" })),
  calls(call(0, { args: '"a😀.txt"}' })),
  calls(call(1, { args: '"}' })),
  chunk({ content: "Fertig." }),
  end("tool_calls"),
  usageChunk(usage),
];

/** The stream as bytes: with comments, `event:` and `id:` lines, either line end. */
function toBytes(lineEnd: string, dressing: readonly number[]): Uint8Array {
  const frames = CHUNKS.map((piece, i) => {
    const data = `data:${i % 2 === 0 ? " " : ""}${JSON.stringify(piece)}`;
    switch ((dressing[i] ?? 0) % 4) {
      case 1:
        return [": OPENROUTER PROCESSING", "", data];
      case 2:
        return ["event: message", data];
      case 3:
        return [`id: ${i}`, data, ": kept alive"];
      default:
        return [data];
    }
  });
  const lines = [...frames, ["data: [DONE]"]].flatMap((frame) => [...frame, ""]);
  return new TextEncoder().encode(lines.join(lineEnd) + lineEnd);
}

async function translate(pieces: readonly Uint8Array[]): Promise<{ text: string; used: Usage[] }> {
  const used: Usage[] = [];
  let id = 0;
  const stream = new MessageStream({
    messageId: "msg_1",
    model: "claude-test",
    requestId: "req_1",
    names: new ToolNames(),
    callIds: new CallIds([], (prefix) => `${prefix}_${++id}`),
    stopSequences: [],
    source: { provider: "test", apiKey: undefined },
    estimateInput: () => 1,
  });
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) if (piece.length > 0) controller.enqueue(piece);
      controller.close();
    },
  });
  const pump = new StreamPump(body, stream, {
    signal: new AbortController().signal,
    sleep: (ms, signal) => nodeDeps.sleep(ms, signal),
    onUsage: (usage) => used.push(usage),
  });
  let text = "";
  while (!pump.done) text += await pump.read();
  return { text, used };
}

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const cuts = [...new Set(at.map((index) => index % bytes.length))].toSorted((a, b) => a - b);
  return [...cuts, bytes.length].map((end, i) => bytes.subarray(cuts[i - 1] ?? 0, end));
}

/** The message a client puts together, without regard to how its deltas were cut. */
function essence(text: string): unknown {
  const { content, stop_reason, usage: counted, error } = readMessage(text);
  return { content, stop_reason, counted, error };
}

test("random pieces, comments and line ends make one message", async () => {
  const whole = await translate([toBytes("\n", [])]);
  expect(essence(whole.text)).toMatchObject({
    content: [
      { type: "thinking", thinking: "Größe? 漢字 😀" },
      { type: "text", text: "\nIch prüfe 😀" },
      { type: "tool_use", name: "Read", input: { path: "a😀.txt" } },
      { type: "tool_use", name: "Grep", input: { q: "ä漢" } },
      { type: "text", text: "Fertig." },
    ],
    stop_reason: "tool_use",
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("\n", "\r\n", "\r"),
      fc.array(fc.nat(3), { maxLength: CHUNKS.length }),
      fc.array(fc.nat(), { maxLength: 60 }),
      async (lineEnd, dressing, cuts) => {
        const { text, used } = await translate(cut(toBytes(lineEnd, dressing), cuts));
        // Each event of the provider becomes the same text, in whatever read it arrives.
        expect(text).toBe(whole.text);
        expect(used).toEqual(whole.used);
      },
    ),
    { numRuns: 150 },
  );
});

test("one byte at a time", async () => {
  const whole = await translate([toBytes("\r\n", [1, 2, 3])]);
  const bytes = toBytes("\r\n", [1, 2, 3]);
  const single = await translate(Array.from(bytes, (byte) => Uint8Array.of(byte)));
  expect(single).toEqual(whole);
});

test("a stream cut anywhere never looks complete", async () => {
  const bytes = toBytes("\n", []);
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
      const { text } = await translate([bytes.subarray(0, length)]);
      const finished = new TextDecoder().decode(bytes.subarray(0, length)).includes('"finish_reason":"tool_calls"}]}');
      const message = readMessage(text);
      expect(message.error === null).toBe(finished);
      expect(text.includes("message_stop")).toBe(finished);
    }),
    { numRuns: 100 },
  );
});

/** Deltas as no provider should send them, but each as some provider does. */
const text = fc.constantFrom("", " ", "\n\n", "a", "b c", "😀");
const anyCall = fc.record(
  {
    index: fc.constantFrom(0, 1, 2),
    id: fc.constantFrom("", "c1", "c2", "functions.Read:0"),
    function: fc.record(
      {
        name: fc.constantFrom("", "Read", "Grep"),
        arguments: fc.constantFrom("", "{", '"a"', ":", "1", "}", '{"a":1}', "x", "null"),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["function"] },
);
const anyDelta = fc.record(
  {
    content: fc.option(text),
    reasoning: text,
    tool_calls: fc.array(anyCall, { maxLength: 3 }),
    refusal: fc.constantFrom(null, "no"),
  },
  { requiredKeys: [] },
);
const anyFinish = fc.constantFrom(null, null, null, "stop", "tool_calls", "length", "content_filter");

test("for any deltas the client's stream is in order and loses no text", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(anyDelta, anyFinish), { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      (deltas, done) => {
        let id = 0;
        const stream = new MessageStream({
          messageId: "msg_1",
          model: "claude-test",
          requestId: "req_1",
          names: new ToolNames(),
          callIds: new CallIds([], (prefix) => `${prefix}_${++id}`),
          stopSequences: [],
          source: { provider: "test", apiKey: undefined },
          estimateInput: () => 1,
        });
        let out = "";
        for (const [delta, finish] of deltas) out += stream.push(JSON.stringify(chunk(delta, finish)));
        const message = readMessage(out + (done ? stream.push("[DONE]") : stream.end()));
        const said = deltas.map(([delta]) => (delta.content ?? "") + (delta.refusal ?? "")).join("");
        const finished = done || deltas.some(([, finish]) => finish !== null);
        expect(message.error === null).toBe(finished);
        if (!finished) return;
        const shown = message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
        expect(shown.replaceAll(/\s/g, "")).toBe(said.replaceAll(/\s/g, ""));
        const tools = message.content.filter((block) => block.type === "tool_use");
        expect(new Set(tools.map((block) => block.id)).size).toBe(tools.length);
        if (message.stop_reason === "max_tokens") return;
        for (const block of tools) expect(block.input).toBeTypeOf("object");
      },
    ),
    { numRuns: 1000 },
  );
});
