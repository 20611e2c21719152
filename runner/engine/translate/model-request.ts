import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { Translation, TranslateState } from "./state.ts";

const NO_USAGE: ModelUsage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
};

/** The engine's usage as events have it; a count that it does not mention stays as `before`. */
export function toUsage(usage: object | null | undefined, before: ModelUsage = NO_USAGE): ModelUsage {
  const given = (usage ?? {}) as Record<string, unknown>;
  const pick = (key: keyof ModelUsage): number => (typeof given[key] === "number" ? given[key] : before[key]);
  return {
    input_tokens: pick("input_tokens"),
    output_tokens: pick("output_tokens"),
    cache_creation_input_tokens: pick("cache_creation_input_tokens"),
    cache_read_input_tokens: pick("cache_read_input_tokens"),
  };
}

/** Ends a model request that never finished; the texts of its previews will not be confirmed. */
export function closeSpan(state: TranslateState, newId: () => string, isError: boolean): Translation {
  if (!state.span) return { state, events: [] };
  const { id, usage } = state.span;
  return {
    state: { ...state, span: null, previews: [] },
    events: [
      {
        type: "span.model_request_end",
        id: newId(),
        model_request_start_id: id,
        is_error: isError,
        model_usage: usage,
      },
    ],
  };
}

/** The event's error type for an HTTP status of the model's API; null when there was no answer. */
export function errorTypeOf(
  status: number | null,
): "model_overloaded_error" | "model_rate_limited_error" | "model_request_failed_error" {
  if (status === 529) return "model_overloaded_error";
  return status === 429 ? "model_rate_limited_error" : "model_request_failed_error";
}
