/** Reads a Messages stream as a strict client would: any event out of order is an error. */
import assert from "node:assert/strict";

export interface StreamEvent {
  type: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into events freely
  [field: string]: any;
}

export interface ReadBlock {
  type: string;
  text?: string;
  thinking?: string;
  signature?: string;
  data?: string;
  id?: string;
  name?: string;
  input?: unknown;
  /** The pieces of `input`, in order of arrival. */
  partialJson?: string;
}

export interface ReadMessage {
  events: StreamEvent[];
  content: ReadBlock[];
  stop_reason: string | null;
  stop_sequence: string | null;
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  usage: any;
  /** The `event: error` that ended it, if one did. */
  error: { type: string; message: string } | null;
}

export function parseEvents(text: string): StreamEvent[] {
  assert.ok(text === "" || text.endsWith("\n\n"), "the stream ends in the middle of an event");
  return text
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame) => {
      const match = /^event: (\w+)\ndata: (.*)$/.exec(frame);
      assert.ok(match, `not an event: ${frame}`);
      const event = JSON.parse(match[2] ?? "") as StreamEvent;
      assert.equal(event.type, match[1], "the event's name and its type differ");
      return event;
    });
}

/** Throws when the stream breaks one of Anthropic's rules: order, indices, empty blocks, anything after the end. */
export function readMessage(text: string): ReadMessage {
  const events = parseEvents(text);
  const message: ReadMessage = { events, content: [], stop_reason: null, stop_sequence: null, usage: {}, error: null };
  let open: ReadBlock | null = null;
  let started = false;
  let delta = false;
  let ended = false;
  for (const event of events) {
    assert.ok(!ended, `${event.type} after the end`);
    if (event.type === "ping") continue;
    if (event.type === "error") {
      message.error = event["error"];
      ended = true;
      continue;
    }
    assert.equal(event.type === "message_start", !started, `${event.type} out of order`);
    assert.ok(!delta || event.type === "message_stop", `${event.type} after message_delta`);
    switch (event.type) {
      case "message_start":
        started = true;
        assert.deepEqual(event["message"].content, []);
        assert.equal(typeof event["message"].usage.input_tokens, "number");
        assert.equal(typeof event["message"].usage.output_tokens, "number");
        break;
      case "content_block_start":
        assert.equal(open, null, "a block begins inside another");
        assert.equal(event["index"], message.content.length, "block index");
        open = { ...event["content_block"], partialJson: "" } as ReadBlock;
        message.content.push(open);
        break;
      case "content_block_delta":
        assert.ok(open, "a delta outside any block");
        assert.equal(event["index"], message.content.length - 1, "delta of a block that is not open");
        applyDelta(open, event["delta"]);
        break;
      case "content_block_stop":
        assert.ok(open, "a stop outside any block");
        assert.equal(event["index"], message.content.length - 1, "stop of a block that is not open");
        closeBlock(open);
        open = null;
        break;
      case "message_delta":
        assert.equal(open, null, "message_delta inside a block");
        delta = true;
        message.stop_reason = event["delta"].stop_reason;
        message.stop_sequence = event["delta"].stop_sequence;
        message.usage = event["usage"];
        break;
      case "message_stop":
        assert.ok(delta, "message_stop without message_delta");
        ended = true;
        break;
      default:
        assert.fail(`unknown event ${event.type}`);
    }
  }
  assert.ok(ended, "the stream has no end");
  return message;
}

function applyDelta(block: ReadBlock, delta: Record<string, string>): void {
  const field = { text_delta: "text", thinking_delta: "thinking", signature_delta: "signature", input_json_delta: "" };
  const expected = { text: "text_delta", thinking: "thinking_delta signature_delta", tool_use: "input_json_delta" };
  const type = delta["type"] as keyof typeof field;
  assert.ok(
    (expected[block.type as keyof typeof expected] ?? "").includes(type),
    `a ${type} in a block of ${block.type}`,
  );
  if (type === "input_json_delta") block.partialJson += delta["partial_json"] ?? "";
  else if (type === "signature_delta") block.signature = delta["signature"] ?? "";
  else if (type === "text_delta") block.text += delta["text"] ?? "";
  else block.thinking += delta["thinking"] ?? "";
}

function closeBlock(block: ReadBlock): void {
  if (block.type === "text") assert.notEqual(block.text?.trim(), "", "an empty text block");
  if (block.type === "thinking") assert.notEqual(block.thinking, "", "an empty thinking block");
  if (block.type === "tool_use") {
    assert.match(block.id ?? "", /^[\w-]+$/);
    assert.notEqual(block.name, "");
    try {
      block.input = JSON.parse(block.partialJson === "" ? "{}" : (block.partialJson ?? ""));
    } catch {
      block.input = undefined;
    }
  } else delete block.partialJson;
}
