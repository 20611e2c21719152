/** One try at one deployment: enforces time limits, notices a client that leaves, and reads the answer's first bytes. */
import { type Effects, OVER } from "../base/effects.ts";
import { errorResponse, isErrorType, isRetryable, type RouterFailure, statusOf } from "../base/errors.ts";
import type { Usage } from "../base/usage.ts";
import type { Deployment } from "../routes/deployment.ts";
import { SseWatch } from "../stream/sse-watch.ts";
import type { StartedStream } from "../stream/stream-guard.ts";
import type { Upstream, UpstreamCall } from "../upstreams/upstream.ts";
import { retryAfterMs, type TryFailure } from "./retry.ts";

/** A checked request on its way through the router. All its tries share it. */
export type RoutedCall = Omit<UpstreamCall, "deployment" | "onUsage">;

/** Time limits of one try, in milliseconds. */
export interface TryLimits {
  /** Streams: until the response headers. */
  readonly firstByteMs: number;
  /** Answers without a stream: until the whole answer. */
  readonly totalMs: number;
  /** Streams: from the headers to the first bytes. */
  readonly idleMs: number;
}

/** How one try ended. */
export type TryResult =
  | {
      readonly kind: "stream";
      readonly stream: StartedStream;
      readonly response: Response;
      readonly firstByteMs: number;
    }
  | { readonly kind: "whole"; readonly bytes: Uint8Array; readonly response: Response; readonly firstByteMs: number }
  | { readonly kind: "failure"; readonly failure: TryFailure }
  /** The client left before there was an answer. */
  | { readonly kind: "gone" };

/** Whether the answer will be a stream. */
export function isStream(call: Pick<RoutedCall, "kind" | "request">): boolean {
  return call.kind === "messages" && call.request.streams;
}

/** After waiting longer than this for an answer without a stream, the router does not wait for it a second time. */
const LONG_WAIT_MS = 60_000;

class TimedOut extends Error {}

/** Asks once. Never throws. The upstream connection is closed when this returns anything but a stream. */
export async function attempt(
  call: RoutedCall,
  deployment: Deployment,
  upstream: Upstream,
  limits: TryLimits,
  deps: Effects,
  onUsage: (usage: Usage) => void,
  report: (entry: Record<string, unknown>) => void,
): Promise<TryResult> {
  const streams = isStream(call);
  const startedAt = deps.now();
  const abort = new AbortController();
  const onGone = (): void => abort.abort(call.signal.reason);
  if (call.signal.aborted) return { kind: "gone" };
  call.signal.addEventListener("abort", onGone, { once: true });
  const release = (): void => {
    call.signal.removeEventListener("abort", onGone);
    abort.abort(OVER);
  };
  try {
    const response = await within(
      upstream({ ...call, signal: abort.signal, deployment, onUsage }, deps),
      streams ? limits.firstByteMs : limits.totalMs,
      abort,
      deps,
    );
    const firstByteMs = deps.now() - startedAt;
    if (!response.ok) {
      const failure = await toFailure(response, call.requestId, deps.now());
      release();
      return { kind: "failure", failure };
    }
    if (!streams || response.body === null) {
      const bytes = new Uint8Array(await within(response.arrayBuffer(), limits.totalMs, abort, deps));
      release();
      return { kind: "whole", bytes, response, firstByteMs };
    }
    const reader = response.body.getReader();
    const opening = await within(readOpening(reader), limits.idleMs, abort, deps);
    if ("failure" in opening) {
      release();
      return { kind: "failure", failure: asTryFailure(opening.failure, "answer", call.requestId) };
    }
    return { kind: "stream", stream: { first: opening.first, reader, abort: release }, response, firstByteMs };
  } catch (error) {
    const gone = call.signal.aborted;
    release();
    if (gone) return { kind: "gone" };
    if (error instanceof TimedOut) {
      const seconds = Math.round((deps.now() - startedAt) / 1000);
      const message = `The upstream of "${deployment.route}" did not begin to answer within ${seconds} s.`;
      const again = streams || limits.totalMs <= LONG_WAIT_MS ? {} : { shouldRetry: false };
      return { kind: "failure", failure: asTryFailure({ status: 504, message, ...again }, "timeout", call.requestId) };
    }
    report({ event: "upstream_unreachable", deployment: deployment.id, error: describe(error) });
    const message = `The upstream of "${deployment.route}" could not be reached, or broke off before it answered.`;
    return { kind: "failure", failure: asTryFailure({ status: 502, message }, "network", call.requestId) };
  }
}

/** Resolves as `work` does, or rejects with TimedOut after `ms` and triggers `abort`, so that `work` ends too. */
async function within<T>(work: Promise<T>, ms: number, abort: AbortController, deps: Effects): Promise<T> {
  const done = new AbortController();
  const limit = deps.sleep(ms, done.signal).then(
    () => {
      const error = new TimedOut();
      abort.abort(error);
      throw error;
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([work, limit, rejectedBy(abort.signal, done.signal)]);
  } finally {
    done.abort(OVER);
    // An upstream that ignores its signal must not become an unhandled rejection later.
    work.catch(() => undefined);
    limit.catch(() => undefined);
  }
}

/** Rejects when `signal` aborts, so that an upstream which ignores the signal cannot hold up the call. */
function rejectedBy(signal: AbortSignal, until: AbortSignal): Promise<never> {
  const rejected = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true, signal: until });
  });
  rejected.catch(() => undefined);
  return rejected;
}

/** The first bytes, or a failure when the stream is empty or begins with an error: the client has seen nothing yet. */
async function readOpening(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ first: Uint8Array[] } | { failure: RouterFailure }> {
  const first: Uint8Array[] = [];
  const watch = new SseWatch();
  // A stream that begins with an error is short. Any other stream is recognized by its first event.
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      watch.finish();
      if (watch.ended === "stop") return { first };
      if (watch.error === null) {
        return { failure: { status: 502, message: "The upstream ended its stream before it said anything." } };
      }
    } else {
      first.push(value);
      if (watch.push(value) === 0) continue;
    }
    if (watch.error === null) return { first };
    await reader.cancel().catch(() => undefined);
    const { type, message } = watch.error;
    return { failure: isErrorType(type) ? { status: statusOf(type), type, message } : { status: 500, message } };
  }
}

async function toFailure(response: Response, requestId: string, now: number): Promise<TryFailure> {
  const text = await response.text().catch(() => "");
  const body = errorBodyOf(text);
  const message = body?.error.message ?? `The upstream answered ${response.status}.`;
  const shouldRetry = response.headers.get("x-should-retry");
  const retryAfter = response.headers.get("retry-after");
  const known = {
    cause: "answer" as const,
    status: response.status,
    message,
    retryAfterMs: retryAfterMs(retryAfter, now),
    shouldRetry: shouldRetry === null ? null : shouldRetry === "true",
  };
  if (body === undefined) {
    const failure = { status: response.status, message, retryAfter: retryAfter ?? undefined };
    return { ...known, response: errorResponse(failure, requestId) };
  }
  const headers = new Headers(response.headers);
  if (!headers.has("request-id")) headers.set("request-id", body.request_id ?? requestId);
  if (shouldRetry === null && !isRetryable(response.status)) headers.set("x-should-retry", "false");
  const bytes = typeof body.request_id === "string" ? text : JSON.stringify({ ...body, request_id: requestId });
  return { ...known, response: new Response(bytes, { status: response.status, headers }) };
}

/** A failure that the router itself found. */
export function asTryFailure(failure: RouterFailure, cause: TryFailure["cause"], requestId: string): TryFailure {
  return {
    cause,
    status: failure.status,
    message: failure.message,
    retryAfterMs: retryAfterMs(failure.retryAfter ?? null, 0),
    shouldRetry: failure.shouldRetry ?? null,
    response: errorResponse(failure, requestId),
  };
}

/** The error body in Anthropic's shape, or undefined when `text` is not one. */
function errorBodyOf(text: string): { error: { message: string }; request_id?: string } | undefined {
  try {
    const body = JSON.parse(text) as { error?: { message?: unknown }; request_id?: unknown } | null;
    if (typeof body?.error?.message !== "string") return undefined;
    return body as { error: { message: string }; request_id?: string };
  } catch {
    return undefined;
  }
}

/** The error as text for the log. Node's fetch only says "fetch failed" and keeps the reason in `cause`. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${error.name}: ${error.message}${cause}`;
}
