import { closeSpan, toUsage } from "./model-request.ts";
import type { MessageOf, Translation, TranslateState } from "./state.ts";

/** Pieces of a model's answer: the spans of model requests, and previews of texts. */
export function fromStream(
  state: TranslateState,
  message: MessageOf<"stream_event">,
  newId: () => string,
): Translation {
  // A sub-agent's stream would interleave with the main one. Its finished messages are enough.
  if (message.parent_tool_use_id !== null) return { state, events: [] };
  const event = message.event;
  switch (event.type) {
    case "message_start": {
      const closed = closeSpan(state, newId, true);
      const id = newId();
      return {
        state: {
          ...closed.state,
          span: { id, messageId: event.message.id, usage: toUsage(event.message.usage) },
          previews: [],
        },
        events: [...closed.events, { type: "span.model_request_start", id, model: event.message.model }],
      };
    }
    case "content_block_start": {
      const kind = event.content_block.type;
      if (kind !== "text" && kind !== "thinking") return { state, events: [] };
      const type = kind === "text" ? "agent.message" : "agent.thinking";
      const id = newId();
      return {
        state: { ...state, previews: [...state.previews, { id, type, block: event.index }] },
        events: [{ type: "event_start", id: newId(), event: { type, id } }],
      };
    }
    case "content_block_delta": {
      const preview = state.previews.find((p) => p.block === event.index);
      if (event.delta.type !== "text_delta" || preview?.type !== "agent.message") return { state, events: [] };
      const content = { type: "text" as const, text: event.delta.text };
      return {
        state,
        events: [
          {
            type: "event_delta",
            id: newId(),
            event_id: preview.id,
            delta: { type: "content_delta", index: 0, content },
          },
        ],
      };
    }
    case "message_delta":
      if (!state.span) return { state, events: [] };
      return {
        state: { ...state, span: { ...state.span, usage: toUsage(event.usage, state.span.usage) } },
        events: [],
      };
    case "message_stop":
      // The engine closes an interrupted stream as if it had ended; only this undeclared field shows the difference.
      return closeSpan(state, newId, "abandoned_blocks" in message);
    default:
      return { state, events: [] };
  }
}
