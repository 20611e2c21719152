import type { RunEnded, RunError } from "@gantry/protocol/run-end.ts";
import { clip } from "./clip.ts";
import { closeSpan, errorTypeOf, toUsage } from "./model-request.ts";
import { betweenRuns } from "./state.ts";
import type { MessageOf, TranslatedEvent, Translation, TranslateState } from "./state.ts";
import { closeThreads } from "./threads.ts";

/** The end of a turn, which usually ends the run. */
export function fromResult(state: TranslateState, message: MessageOf<"result">, newId: () => string): Translation {
  const closed = closeSpan(state, newId, true);
  // The prompt's own result is still to come when the engine ran an errand of its own (a background task ended), or when
  // more input is queued in it.
  const isOwnErrand = message.origin !== undefined && message.origin.kind !== "human";
  if (isOwnErrand) return { ...closed, state: { ...closed.state, lastText: "" } };
  if ((message.queued_turn_count ?? 0) > 0) return closed;
  const failure = failureOf(message);
  const events: TranslatedEvent[] = [...closed.events];
  if (failure?.type === "upstream_error") {
    const status = failure.upstream_status ?? null;
    events.push({
      type: "session.error",
      id: newId(),
      error: {
        type: errorTypeOf(status),
        message: failure.message,
        retry_status: { type: "exhausted" },
        upstream_status: status,
      },
    });
  }
  const interrupted = wasInterrupted(message);
  const result = message.subtype === "success" && !message.is_error ? message.result || state.lastText : state.lastText;
  const ended: RunEnded & { id: string } = {
    type: "run.ended",
    id: newId(),
    outcome: interrupted ? "interrupted" : failure ? "failed" : "succeeded",
    result: clip(result),
    error: interrupted ? null : failure,
    usage: toUsage(message.usage),
    num_turns: message.num_turns,
    duration_ms: message.duration_ms,
  };
  const { threads, events: over } = closeThreads(closed.state.threads, closed.state.backgroundTasks, newId);
  return { state: betweenRuns({ ...closed.state, threads }), events: [...events, ...over, ended] };
}

function wasInterrupted(message: MessageOf<"result">): boolean {
  return message.subtype === "error_during_execution" && (message.terminal_reason ?? "").startsWith("aborted");
}

/** The API rejected the prompt as too long, or the engine did so before asking the API. */
const TOO_LONG = new Set(["prompt_too_long", "blocking_limit"]);

/** The run's error, or null. `subtype: "success"` does not mean success: API failures come as success with `is_error`. */
function failureOf(message: MessageOf<"result">): RunError | null {
  if (message.subtype === "success") {
    if (!message.is_error) return null;
    if (TOO_LONG.has(message.terminal_reason ?? "")) return { type: "prompt_too_long", message: clip(message.result) };
    if (message.stop_reason === "refusal") return { type: "refused", message: clip(message.result) };
    return { type: "upstream_error", message: clip(message.result), upstream_status: message.api_error_status ?? null };
  }
  // The engine's "[ede_diagnostic] ..." lines are meant for its developers.
  const said = message.errors.filter((line) => !line.startsWith("[ede_diagnostic]")).join("\n");
  switch (message.subtype) {
    case "error_max_turns":
      return { type: "max_turns", message: said || "The run reached its limit of turns." };
    case "error_max_budget_usd":
      return { type: "max_budget", message: said || "The run reached its budget." };
    default:
      return { type: "engine_failed", message: said || "The engine stopped with an error." };
  }
}
