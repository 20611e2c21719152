import { z } from "zod";

/** `retrying`: another attempt follows; `exhausted`: this prompt failed, the session goes on; `terminal`: the session is over. */
export const RetryStatus = z.object({ type: z.enum(["retrying", "exhausted", "terminal"]) });

/** An error that a session reports in its log. */
export const SessionError = z.object({
  type: z.enum([
    "unknown_error",
    "model_overloaded_error",
    "model_rate_limited_error",
    "model_request_failed_error",
    "repository_authentication_error",
    "repository_forbidden_error",
    "repository_not_found_error",
    "repository_checkout_error",
    "repository_clone_error",
  ]),
  message: z.string(),
  retry_status: RetryStatus,
  /** With `repository_*`: URL of the repository. */
  repository_url: z.string().nullable().optional(),
  /** Id of the mounted file or repository that failed. */
  resource_id: z.string().optional(),
  /** HTTP status of the model's API, as opposed to Gantry's own; null when the API did not answer. */
  upstream_status: z.number().int().nullable().optional(),
});

/** Tokens of one or several model calls. */
export const ModelUsage = z.object({
  input_tokens: z.number(),
  output_tokens: z.number(),
  cache_creation_input_tokens: z.number(),
  cache_read_input_tokens: z.number(),
});
export type ModelUsage = z.infer<typeof ModelUsage>;

/**
 * Why a run failed, and which part detects it:
 * - `upstream_error`, `prompt_too_long`, `refused`: the engine, from the model's API;
 * - `max_turns`, `max_budget`: the engine, at a limit the request set;
 * - `engine_failed`: the runner, when the engine did not start or stopped by itself;
 * - `sandbox_lost`: the session, when the runner that held the run is gone (the log has its events so far);
 * - `deadline_exceeded`: the runner, when the run exceeded its time limit;
 * - `server_stopped`: the runner, when it had to shut down while the run was in progress;
 * - `resource_unavailable`: the runner, when a file or repository of the session could not be mounted. The engine did
 *   not get the prompt; the next prompt tries to mount again;
 * - `restore_failed`: the session, when its files could not be restored. The run did not begin.
 */
export const RunErrorType = z.enum([
  "upstream_error",
  "prompt_too_long",
  "refused",
  "max_turns",
  "max_budget",
  "engine_failed",
  "sandbox_lost",
  "deadline_exceeded",
  "server_stopped",
  "resource_unavailable",
  "restore_failed",
]);
export type RunErrorType = z.infer<typeof RunErrorType>;

export const RunError = z.object({
  type: RunErrorType,
  message: z.string(),
  upstream_status: z.number().int().nullable().optional(),
});
export type RunError = z.infer<typeof RunError>;

/**
 * How a run ended.
 * - `succeeded`: the agent answered;
 * - `failed`: it did not, `error` says why;
 * - `interrupted`: a client asked it to stop;
 * - `cancelled`: it was taken out of the queue before it began.
 */
export const RunOutcome = z.enum(["succeeded", "failed", "interrupted", "cancelled"]);
export type RunOutcome = z.infer<typeof RunOutcome>;

/** The last event of a run. Every run has exactly one. */
export const RunEnded = z.object({
  type: z.literal("run.ended"),
  outcome: RunOutcome,
  /** The agent's final text; "" when it gave none. */
  result: z.string(),
  error: RunError.nullable(),
  usage: ModelUsage.nullable(),
  num_turns: z.number().int(),
  duration_ms: z.number(),
});
export type RunEnded = z.infer<typeof RunEnded>;
