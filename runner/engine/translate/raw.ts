import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { MAX_EVENT_CHARS } from "@gantry/protocol/event.ts";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { clip } from "./clip.ts";

/** Longest text that a raw message keeps where it is too long as a whole. */
const MAX_TEXT_CHARS = 10_000;

/** Tokens of the router, of this session and of any other. */
const TOKENS = /gst_[A-Za-z0-9_.-]+/g;

/**
 * A message of the engine as it came, for a run that asked for it: without pieces of texts, of which the whole follows,
 * without the session's token wherever it turns up, and cut to what an event holds. Null: not shown.
 */
export function toRawEvent(message: SDKMessage): Extract<RunnerEvent, { type: "engine.message" }> | null {
  if (message.type === "stream_event") return null;
  const json = JSON.stringify(message).replaceAll(TOKENS, "[token]");
  if (json.length <= MAX_EVENT_CHARS / 2) return { type: "engine.message", message: JSON.parse(json) as Fields };
  const cut = JSON.stringify(JSON.parse(json), (_key, value: unknown) =>
    typeof value === "string" ? clip(value, MAX_TEXT_CHARS) : value,
  );
  if (cut.length <= MAX_EVENT_CHARS / 2) return { type: "engine.message", message: JSON.parse(cut) as Fields };
  return { type: "engine.message", message: { type: message.type, left_out: `${json.length} characters` } };
}

type Fields = Record<string, unknown>;
