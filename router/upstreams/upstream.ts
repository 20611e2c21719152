/**
 * The interface between the router and a provider: one function, with one file for each implementation.
 *
 * The router picks a deployment, counts, retries and limits. An upstream only speaks one API.
 */
import type { Effects } from "../base/effects.ts";
import type { Usage } from "../base/usage.ts";
import type { MessagesRequest } from "../request/messages-request.ts";
import type { Deployment } from "../routes/deployment.ts";

/** One try of a call, at one deployment. */
export interface UpstreamCall {
  /** The caller's request in Anthropic's format. All tries share it. */
  readonly request: MessagesRequest;
  readonly kind: "messages" | "count_tokens";
  /** The caller's headers that are forwarded (`anthropic-beta`, `anthropic-version`, ...); credentials are already removed. */
  readonly inbound: Headers;
  /** Query string with its `?`, or "". Claude Code sends `?beta=true`. */
  readonly search: string;
  /** Our id of this request (`req_...`), for the error bodies that this upstream makes. */
  readonly requestId: string;
  readonly deployment: Deployment;
  /** Aborts when the client leaves or a time limit passes. The upstream must then stop and free its connection. */
  readonly signal: AbortSignal;
  /** Reports what the provider says it billed. Called at most once, at the end; for a broken stream, with what is known. */
  readonly onUsage: (usage: Usage) => void;
}

/**
 * Asks the provider once.
 *
 * - Resolves with a Response in Anthropic's format: JSON, or SSE when `request.streams`.
 * - A failure before the first byte is a Response with Anthropic's error body, the mapped status and the provider's
 *   `retry-after`. The router may then ask another deployment.
 * - A network failure rejects. An abort of `signal` rejects with its reason.
 * - A failure in the middle of a stream is an `event: error` in the stream, never a normal end.
 * - Cancelling the response's body aborts the upstream request.
 */
export type Upstream = (call: UpstreamCall, deps: Effects) => Promise<Response>;
