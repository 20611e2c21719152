import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { MAX_EVENT_CHARS } from "@gantry/protocol/event.ts";
import { describe, expect, it } from "vitest";
import { clipInput } from "./clip.ts";
import { toRawEvent } from "./raw.ts";

it("sec/H1 a tool's input that is nested too deep is left out of events, so that the link accepts them", () => {
  const input = JSON.parse(`{"a":${"[".repeat(9000)}${"]".repeat(9000)},"b":"kept"}`) as object;
  expect(clipInput(input)).toEqual({ a: "[left out: nested deeper than 64 levels]", b: "kept" });
  const message = { type: "assistant", message: { content: [{ type: "tool_use", input }] } } as unknown as SDKMessage;
  expect(toRawEvent(message)?.message).toEqual({ type: "assistant", left_out: "nested deeper than 64 levels" });
});

const user = (content: unknown): SDKMessage =>
  ({ type: "user", message: { role: "user", content }, parent_tool_use_id: null, session_id: "s" }) as SDKMessage;

describe("a raw message", () => {
  it("has all fields of the engine's message", () => {
    const message = user([{ type: "text", text: "x", citations: null }]);
    expect(toRawEvent(message)).toEqual({ type: "engine.message", message });
  });

  it("does not exist for pieces of a text", () => {
    expect(toRawEvent({ type: "stream_event" } as SDKMessage)).toBeNull();
  });

  it("contains no session token anywhere", () => {
    const raw = toRawEvent(user(`ANTHROPIC_AUTH_TOKEN=gst_sesn_01abc.01def\n"gst_x.y"`));
    expect(JSON.stringify(raw)).not.toContain("gst_");
    expect(raw?.message).toMatchObject({ message: { content: 'ANTHROPIC_AUTH_TOKEN=[token]\n"[token]"' } });
  });

  it("keeps its shape when one text is too long", () => {
    const raw = toRawEvent(user([{ type: "text", text: "x".repeat(MAX_EVENT_CHARS) }]));
    expect(JSON.stringify(raw).length).toBeLessThan(20_000);
    expect(raw?.message).toMatchObject({ message: { content: [{ text: expect.stringContaining("left out") }] } });
  });

  it("is replaced by its size when it is too long even then", () => {
    const raw = toRawEvent(user(Array.from({ length: 100_000 }, () => ({ type: "text", text: "many" }))));
    expect(raw?.message).toEqual({ type: "user", left_out: expect.stringMatching(/^\d+ characters$/) });
  });
});
