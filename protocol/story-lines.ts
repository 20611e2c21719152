import type { StoredEvent } from "./event.ts";
import type { RunErrorType } from "./run-end.ts";

/** One line of a run's story. */
export type StoryLine = {
  readonly type:
    | "status"
    | "assistant"
    | "thinking"
    | "tool_call"
    | "tool_result"
    | "permission_denied"
    | "raw"
    | "result"
    | "error";
} & Record<string, unknown>;

/**
 * Translates the events of one run into lines. `assistant` lines are pieces: joined in order they are the agent's text,
 * whether it arrived in deltas or at once. Pieces of one message carry the same `messageId`. After a retry in the middle
 * of a message the text starts over with a new `messageId`.
 */
export class StoryLines {
  readonly #ids: { sessionId: string; runId: string; requestId: string };
  readonly #verbose: boolean;
  #shown = new Map<string, number>();
  #tools = new Map<string, string>();

  constructor(args: { sessionId: string; runId: string; requestId: string; verbose: boolean }) {
    const { verbose, ...ids } = args;
    this.#ids = ids;
    this.#verbose = verbose;
  }

  /** The lines for the next event. Call it in the order of the log. */
  of(event: StoredEvent): StoryLine[] {
    switch (event.type) {
      case "run.queued":
        return [{ type: "status", status: "queued", position: event.position, ...this.#ids }];
      case "run.started":
        return [{ type: "status", status: "running", model: event.model, permissionMode: event.permission_mode }];
      case "event_delta": {
        const text = event.delta.content.text;
        this.#shown.set(event.event_id, (this.#shown.get(event.event_id) ?? 0) + text.length);
        return [{ type: "assistant", content: text, messageId: event.event_id }];
      }
      case "agent.message": {
        if (event.parent_tool_use_id !== undefined && !this.#verbose) return [];
        const rest = event.content
          .map((block) => block.text)
          .join("")
          .slice(this.#shown.get(event.id) ?? 0);
        return rest === "" ? [] : [{ type: "assistant", content: rest, messageId: event.id }];
      }
      case "agent.thinking":
        return this.#verbose ? [{ type: "thinking", content: event.thinking ?? "" }] : [];
      case "agent.tool_use":
        // A copy of a call that its own thread has already shown.
        if (event.session_thread_id !== undefined) return [];
        this.#tools.set(event.id, event.name);
        return [{ type: "tool_call", tool: event.name, input: event.input, id: event.id }];
      case "agent.tool_result": {
        const result = event.content.map((block) => (block.type === "text" ? block.text : "[image]")).join("\n");
        return [
          {
            type: "tool_result",
            tool: this.#tools.get(event.tool_use_id) ?? "",
            result,
            id: event.tool_use_id,
            isError: event.is_error,
          },
        ];
      }
      case "permission.denied":
        return [{ type: "permission_denied", tool: event.tool, message: event.message, hint: HINT }];
      case "engine.message":
        return [{ type: "raw", message: event.message }];
      case "session.error":
        return event.error.retry_status.type === "retrying"
          ? [{ type: "status", status: "retrying", message: event.error.message }]
          : [];
      case "run.ended": {
        const common = { ...this.#ids, numTurns: event.num_turns, durationMs: event.duration_ms, usage: event.usage };
        if (event.outcome === "succeeded") return [{ type: "result", result: event.result, ...common }];
        const error = event.error?.type ?? event.outcome;
        const message =
          event.error?.message ??
          (event.outcome === "interrupted" ? "The run was interrupted." : "The run was cancelled.");
        const upstream =
          event.error?.upstream_status === undefined ? {} : { upstreamStatus: event.error.upstream_status };
        return [{ type: "error", error, message, ...upstream, result: event.result, ...common }];
      }
      default:
        return [];
    }
  }
}

const HINT =
  'The permission mode of this run does not allow this call. Send "permissionMode":"bypassPermissions" to allow everything inside the sandbox, or set GANTRY_PERMISSION_MODE.';

/** HTTP status for a run that did not succeed. The status of the model's API is in `upstreamStatus`. */
const RUN_STATUS: Record<RunErrorType | "interrupted" | "cancelled", number> = {
  upstream_error: 502,
  prompt_too_long: 422,
  refused: 422,
  max_turns: 422,
  max_budget: 422,
  engine_failed: 500,
  sandbox_lost: 503,
  deadline_exceeded: 504,
  server_stopped: 503,
  resource_unavailable: 424,
  restore_failed: 503,
  interrupted: 409,
  cancelled: 409,
};

/** HTTP status for an error type or an outcome; 500 for an unknown one. */
export function runErrorStatus(error: unknown): number {
  return RUN_STATUS[error as keyof typeof RUN_STATUS] ?? 500;
}
