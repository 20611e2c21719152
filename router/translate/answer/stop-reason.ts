/** Translates the reason why an answer ended, from OpenAI's and other providers' names to Anthropic's. */
import type { StopReason } from "@anthropic-ai/sdk/resources/messages/messages";
import type { RouterFailure } from "../../base/errors.ts";
import { nonEmpty, type Json } from "../../base/json.ts";

/** Why a Message stopped; `sequence` is the stop sequence when one matched. */
export interface Stop {
  readonly reason: StopReason;
  readonly sequence: string | null;
}

/**
 * `finish` is the provider's `finish_reason`, or null when it sent none. A turn that called tools is `tool_use` even when
 * the provider says `stop`; otherwise the client would end the turn without running them.
 */
export function toStop(finish: string | null, hasTools: boolean, matched: string | null): Stop {
  switch (finish) {
    case "length":
    case "max_tokens":
    case "model_length":
      return { reason: "max_tokens", sequence: null };
    case "content_filter":
    case "refusal":
    case "safety":
    case "SAFETY":
      return { reason: "refusal", sequence: null };
    default:
      if (hasTools) return { reason: "tool_use", sequence: null };
      return matched === null ? { reason: "end_turn", sequence: null } : { reason: "stop_sequence", sequence: matched };
  }
}

/** The stop sequence that ended the answer, if the server names it (vLLM: `stop_reason`, SGLang: `matched_stop`). */
export function matchedStop(choice: Json, asked: readonly string[]): string | null {
  const named = nonEmpty(choice["stop_reason"]) ?? nonEmpty(choice["matched_stop"]);
  return named !== undefined && asked.includes(named) ? named : null;
}

/** The failure behind a finish reason that reports an error; undefined for any other. */
export function failedFinish(finish: string | null): RouterFailure | undefined {
  switch (finish) {
    case "error": // OpenRouter: the provider behind it broke
      return { status: 502, message: "The upstream ended its answer with an error." };
    case "insufficient_system_resource": // DeepSeek
      return { status: 529, message: "The upstream ran out of resources in the middle of its answer." };
    default:
      return undefined;
  }
}
