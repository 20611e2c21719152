import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { MAX_EVENT_CHARS } from "@gantry/protocol/event.ts";
import { describe, expect, it } from "vitest";
import { toRawEvent } from "./raw.ts";

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
