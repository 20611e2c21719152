import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { MAX_EVENT_CHARS } from "@gantry/protocol/event.ts";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { jsonExcess } from "@gantry/protocol/json-limits.ts";
import { clip } from "./clip.ts";

/** Longest text, in characters, within a raw message that is too long as a whole. */
const MAX_TEXT_CHARS = 10_000;

/** The router's tokens, of this session and of any other. */
const TOKENS = /gst_[A-Za-z0-9_.-]+/g;

/**
 * A message of the engine as it is, for a run that asked for raw messages. Tokens are replaced and long texts shortened to
 * fit an event. Null for pieces of a text, because the whole text follows.
 */
export function toRawEvent(message: SDKMessage): Extract<RunnerEvent, { type: "engine.message" }> | null {
  if (message.type === "stream_event") return null;
  const excess = jsonExcess(message);
  if (excess !== null) return { type: "engine.message", message: { type: message.type, left_out: excess } };
  const json = JSON.stringify(message).replaceAll(TOKENS, "[token]");
  if (json.length <= MAX_EVENT_CHARS / 2) return { type: "engine.message", message: JSON.parse(json) as Fields };
  const cut = JSON.stringify(JSON.parse(json), (_key, value: unknown) =>
    typeof value === "string" ? clip(value, MAX_TEXT_CHARS) : value,
  );
  if (cut.length <= MAX_EVENT_CHARS / 2) return { type: "engine.message", message: JSON.parse(cut) as Fields };
  return { type: "engine.message", message: { type: message.type, left_out: `${json.length} characters` } };
}

type Fields = Record<string, unknown>;
