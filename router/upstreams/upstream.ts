/**
 * The seam between the router and a provider: one function, one file an implementation.
 *
 * The router picks a deployment, counts, retries and limits; an upstream speaks one dialect and nothing else.
 */
import type { Effects } from "../base/effects.ts";
import type { Usage } from "../base/usage.ts";
import type { MessagesRequest } from "../request/messages-request.ts";
import type { Deployment } from "../routes/deployment.ts";

export interface UpstreamCall {
  /** What the caller asks, in Anthropic's format; shared between tries. */
  readonly request: MessagesRequest;
  readonly kind: "messages" | "count_tokens";
  /** `anthropic-beta`, `anthropic-version`, ...: the caller's headers, credentials and hop-by-hop headers already removed. */
  readonly inbound: Headers;
  /** Query string with its `?`, or "" (Claude Code sends `?beta=true`). */
  readonly search: string;
  /** Our id of this request (`req_...`); stands in error bodies this upstream makes. */
  readonly requestId: string;
  readonly deployment: Deployment;
  /** Client went away or a time limit passed: stop, and free the upstream connection. */
  readonly signal: AbortSignal;
  /** What the upstream says it billed. Called at most once, at the end; also for a stream that broke, with what is known. */
  readonly onUsage: (usage: Usage) => void;
}

/**
 * Asks the provider once.
 *
 * - Resolves with a Response in Anthropic's format: JSON, or SSE when `request.streams`.
 * - A failure before the first byte is a Response with Anthropic's error body, the mapped status and the upstream's
 *   `retry-after`; the router may then ask elsewhere.
 * - A network failure rejects; an abort of `signal` rejects with its reason.
 * - A failure in the middle of a stream is an `event: error` in the stream, never a normal end.
 * - Cancelling the response's body aborts the upstream request.
 */
export type Upstream = (call: UpstreamCall, deps: Effects) => Promise<Response>;
