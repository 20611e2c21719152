/** Turns a complete Message into the events of a stream, for a client that asked for a stream. */
import type { ContentBlock, Message } from "@anthropic-ai/sdk/resources/messages/messages";

/** The events as server-sent text. */
export function messageEvents(message: Message): string {
  const { content, stop_reason, stop_sequence, stop_details, usage } = message;
  let out = event("message_start", {
    message: { ...message, content: [], stop_reason: null, stop_sequence: null, stop_details: null },
  });
  for (const [index, block] of content.entries()) {
    const { start, deltas } = parts(block);
    out += event("content_block_start", { index, content_block: start });
    for (const delta of deltas) out += event("content_block_delta", { index, delta });
    out += event("content_block_stop", { index });
  }
  out += event("message_delta", { delta: { stop_reason, stop_sequence, stop_details, container: null }, usage });
  return out + event("message_stop", {});
}

function parts(block: ContentBlock): { start: unknown; deltas: unknown[] } {
  switch (block.type) {
    case "text":
      return { start: { ...block, text: "" }, deltas: [{ type: "text_delta", text: block.text }] };
    case "thinking":
      return {
        start: { ...block, thinking: "", signature: "" },
        deltas: [
          { type: "thinking_delta", thinking: block.thinking },
          { type: "signature_delta", signature: block.signature },
        ],
      };
    case "tool_use":
      return {
        start: { ...block, input: {} },
        deltas: [{ type: "input_json_delta", partial_json: JSON.stringify(block.input) }],
      };
    default:
      return { start: block, deltas: [] };
  }
}

function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}
