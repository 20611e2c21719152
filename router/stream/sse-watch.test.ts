import { describe, expect, test } from "vitest";
import { SseWatch } from "./sse-watch.ts";

const encoder = new TextEncoder();
const frame = (type: string, more: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
const delta = (text: string): string => frame("content_block_delta", { index: 0, delta: { type: "text_delta", text } });

const WHOLE =
  frame("message_start", { message: { usage: { input_tokens: 12, output_tokens: 1, cache_read_input_tokens: 5 } } }) +
  frame("content_block_start", { index: 0, content_block: { type: "text", text: "" } }) +
  delta("héllo \\n\\n event: message_stop") +
  frame("ping") +
  delta("wörld") +
  frame("content_block_stop", { index: 0 }) +
  frame("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 42 } }) +
  frame("message_stop");

function watch(text: string, size: number): SseWatch {
  const bytes = encoder.encode(text);
  const it = new SseWatch();
  for (let at = 0; at < bytes.length; at += size) it.push(bytes.subarray(at, at + size));
  return it;
}

describe("a stream is understood in pieces of any size", () => {
  for (const text of [WHOLE, WHOLE.replaceAll("\n\n", "\r\n\r\n").replaceAll("\ndata", "\r\ndata")]) {
    test.each([1, 2, 3, 7, 64, 100_000])("pieces of %i bytes", (size) => {
      const it = watch(text, size);
      expect(it.ended).toBe("stop");
      expect(it.openBlock).toBeNull();
      expect(it.atBoundary).toBe(true);
      expect(it.usage).toEqual({ inputTokens: 12, outputTokens: 42, cacheReadTokens: 5, cacheWriteTokens: 0 });
    });
  }
});

test("push returns how many bytes belong to complete events", () => {
  const it = new SseWatch();
  const first = frame("ping");
  expect(it.push(encoder.encode(first + "event: pi"))).toBe(first.length);
  expect(it.atBoundary).toBe(false);
  expect(it.push(encoder.encode('ng\ndata: {"type":"ping"}\n'))).toBe(0);
  expect(it.push(encoder.encode("\n"))).toBe(1);
  expect(it.atBoundary).toBe(true);
});

test.each([
  ["text", { type: "text", text: "" }],
  ["tool_use", { type: "tool_use", id: "t", name: "Bash", input: {} }],
  ["thinking", { type: "thinking", thinking: "" }],
])("the open block is known: %s", (type, block) => {
  const it = watch(frame("content_block_start", { index: 3, content_block: block }) + delta("x"), 10);
  expect(it.openBlock).toEqual({ index: 3, type });
});

test("an upstream's error event ends the stream", () => {
  const it = watch(frame("error", { error: { type: "overloaded_error", message: "Overloaded" } }), 5);
  expect(it.ended).toBe("error");
  expect(it.error).toEqual({ type: "overloaded_error", message: "Overloaded" });
});

test("the last event counts even without its blank line", () => {
  const it = watch(WHOLE.trimEnd(), 9);
  expect(it.ended).toBeNull();
  it.finish();
  expect(it.ended).toBe("stop");
});

test("a stream without event lines is understood from its data", () => {
  expect(watch(WHOLE.replaceAll(/event: \w+\n/g, ""), 11).ended).toBe("stop");
});

test("the output of a broken stream is estimated from the bytes received", () => {
  const it = watch(delta("x".repeat(400)), 30);
  expect(it.usage).toBeUndefined();
  expect(it.estimatedOutputTokens).toBeGreaterThan(80);
  expect(it.estimatedOutputTokens).toBeLessThan(120);
});
