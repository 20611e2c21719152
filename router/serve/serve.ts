/**
 * One model call, from the checked request to the last byte of its answer: cache, budget, dispatch, the client's stream,
 * and the usage record.
 */
import { OVER } from "../base/effects.ts";
import { errorResponse } from "../base/errors.ts";
import type { CallOutcome } from "../base/usage.ts";
import { isStream } from "../dispatch/attempt.ts";
import { dispatch, type Dispatched, type Switchboard } from "../dispatch/dispatch.ts";
import type { Reserve } from "../money/budget.ts";
import type { SseWatch } from "../stream/sse-watch.ts";
import { guardStream, type StartedStream, type StreamEnd } from "../stream/stream-guard.ts";
import { type AnswerCache, AnswerRecorder, cacheKey } from "./cache.ts";
import { toEstimate } from "./estimate.ts";
import { type AcceptedCall, Account, type AccountDeps } from "./record.ts";

/**
 * How long a stream's status line waits for the upstream. A failure within this time gets its own HTTP status. After it
 * the stream begins with a `ping`, because clients and proxies give up on silence, and a failure is an `event: error`.
 */
export const EARLY_START_MS = 10_000;

/** Status for the record when the client has left; the client never sees it. */
const CLIENT_GONE = 499;

/** What serving a call needs of the router. */
export interface ServeDeps extends AccountDeps {
  readonly cache: AnswerCache;
  readonly reserve?: Reserve | undefined;
}

/** Answers a call. Never throws because of an upstream, a client that leaves, or a refused budget. */
export async function serve(call: AcceptedCall, deps: ServeDeps): Promise<Response> {
  const { board, cache, reserve } = deps;
  const account = new Account(call, deps);
  const ttlMs = call.kind === "messages" ? (call.match.entries[0]?.cacheTtlMs ?? board.config.cacheTtlMs) : 0;
  let key: string | null = null;
  if (ttlMs > 0 && !call.bypassCache) {
    const body = await call.request.body();
    if (!body.ok) return errorResponse(body.failure, call.requestId);
    key = await cacheKey(call.caller.account, call.kind, body.value, call.inbound.get("anthropic-beta"));
  }
  const kept = key === null ? undefined : cache.get(key);
  if (kept !== undefined) {
    account.close("cached", 200, null);
    const headers = answerHeaders(new Headers({ "content-type": kept.contentType }), call.requestId);
    headers.set("x-gantry-cache", "hit");
    return new Response(kept.bytes as Uint8Array<ArrayBuffer>, { headers });
  }
  if (reserve !== undefined) {
    const estimate = await toEstimate(call, board);
    if (!estimate.ok) {
      account.close("failed", estimate.failure.status, null);
      return errorResponse(estimate.failure, call.requestId);
    }
    const answer = await reserve(estimate.value);
    if (!answer.granted) {
      account.close("failed", answer.refusal.status, null);
      return errorResponse(answer.refusal, call.requestId);
    }
    account.reservation = answer;
  }
  const keep =
    key === null
      ? undefined
      : (contentType: string, bytes: Uint8Array) => cache.put(key, { contentType, bytes }, ttlMs);
  try {
    return await (isStream(call) ? serveStream(call, board, account, keep) : serveWhole(call, board, account, keep));
  } catch (error) {
    // A fault in the router: the reservation is given back, and the caller of `serve` makes the answer.
    account.close("failed", 500, null);
    throw error;
  }
}

type Keep = ((contentType: string, bytes: Uint8Array) => void) | undefined;

async function serveWhole(call: AcceptedCall, board: Switchboard, account: Account, keep: Keep): Promise<Response> {
  const result = await dispatch(call, call.match, board);
  switch (result.kind) {
    case "gone":
      account.close("cancelled", CLIENT_GONE, result);
      return errorResponse({ status: CLIENT_GONE, message: "The client closed the request." }, call.requestId);
    case "failure":
      account.close("failed", result.failure.status, result);
      return withIds(result.failure.response, call.requestId);
    case "answer": {
      const { answer, served } = result;
      served.flight.end();
      account.close("ok", answer.response.status, result);
      const headers = answerHeaders(answer.response.headers, call.requestId);
      const bytes = answer.kind === "whole" ? answer.bytes : new Uint8Array();
      keep?.(headers.get("content-type") ?? "application/json", bytes);
      return new Response(bytes as Uint8Array<ArrayBuffer>, { status: answer.response.status, headers });
    }
  }
}

async function serveStream(call: AcceptedCall, board: Switchboard, account: Account, keep: Keep): Promise<Response> {
  const { config, deps } = board;
  // Aborted when the client leaves: its request's signal fires, or it cancels the stream.
  const client = new AbortController();
  const onGone = (): void => client.abort(call.signal.reason);
  call.signal.addEventListener("abort", onGone, { once: true });
  if (call.signal.aborted) onGone();

  let result: Dispatched | null = null;
  const pending = dispatch({ ...call, signal: client.signal }, call.match, board).then(
    (dispatched) => (result = dispatched),
  );
  const settled = new AbortController();
  const early = deps.sleep(EARLY_START_MS, settled.signal).then(
    () => null,
    () => null,
  );
  const first = await Promise.race([pending, early]);
  settled.abort(OVER);

  if (first?.kind === "failure" || first?.kind === "gone") {
    call.signal.removeEventListener("abort", onGone);
    const gone = first.kind === "gone";
    account.close(gone ? "cancelled" : "failed", gone ? CLIENT_GONE : first.failure.status, first);
    if (gone) return errorResponse({ status: CLIENT_GONE, message: "The client closed the request." }, call.requestId);
    return withIds(first.failure.response, call.requestId);
  }

  const recorder = keep === undefined ? undefined : new AnswerRecorder();
  const close = (end: StreamEnd, watch: SseWatch, dispatched: Dispatched): void => {
    const outcome = outcomeOf(end);
    if (dispatched.kind === "answer") {
      dispatched.served.flight.end();
      if (outcome === "cut") board.states.failed(dispatched.served.deployment.id);
    }
    account.close(outcome, end === "cancelled" && dispatched.kind === "gone" ? CLIENT_GONE : 200, dispatched, watch);
    const bytes = end === "complete" ? recorder?.take() : undefined;
    if (bytes !== undefined) keep?.(STREAM_TYPE, bytes);
  };
  const opening: StartedStream | Promise<StartedStream | { status: number; message: string }> =
    first === null ? pending.then(toOpening) : toStarted(first);
  const stream = guardStream(
    opening,
    {
      idleMs: config.idleMs,
      keepAliveMs: config.keepAliveMs,
      requestId: call.requestId,
      now: () => deps.now(),
      sleep: (ms, signal) => deps.sleep(ms, signal),
      onAlive: () => {
        if (result?.kind === "answer") result.served.flight.touch();
      },
      isClientGone: () => client.signal.aborted,
      onEnd: (end, watch) => {
        call.signal.removeEventListener("abort", onGone);
        if (result !== null) close(end, watch, result);
        else void pending.then((dispatched) => close(end, watch, dispatched));
      },
      ...(recorder === undefined ? {} : { onBytes: (bytes: Uint8Array) => recorder.push(bytes) }),
    },
    () => client.abort(),
  );
  const headers = answerHeaders(first?.answer.response.headers ?? new Headers(), call.requestId);
  headers.set("content-type", STREAM_TYPE);
  headers.set("cache-control", "no-cache, no-transform");
  return new Response(stream, { headers });
}

const STREAM_TYPE = "text/event-stream; charset=utf-8";

function toOpening(dispatched: Dispatched): StartedStream | { status: number; message: string } {
  switch (dispatched.kind) {
    case "answer":
      return toStarted(dispatched);
    case "failure":
      return { status: dispatched.failure.status, message: dispatched.failure.message };
    case "gone":
      return { status: CLIENT_GONE, message: "The client closed the request." };
  }
}

function toStarted({ answer }: Extract<Dispatched, { kind: "answer" }>): StartedStream {
  if (answer.kind === "stream") return answer.stream;
  // The upstream answered a streaming call without a body; the guard treats that as a cut stream.
  const reader = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }).getReader();
  return { first: [answer.bytes], reader, abort: () => undefined };
}

function outcomeOf(end: StreamEnd): CallOutcome {
  switch (end) {
    case "complete":
      return "ok";
    case "cancelled":
      return "cancelled";
    case "failed":
      return "failed";
    case "cut":
    case "error":
    case "stalled":
      return "cut";
  }
}

/** `request-id` is the upstream's when it has one, so that its support can find the call; ours is a header beside it. */
function answerHeaders(upstream: Headers, requestId: string): Headers {
  const headers = new Headers(upstream);
  if (!headers.has("request-id")) headers.set("request-id", requestId);
  headers.set("x-gantry-request-id", requestId);
  return headers;
}

function withIds(response: Response, requestId: string): Response {
  return new Response(response.body, { status: response.status, headers: answerHeaders(response.headers, requestId) });
}
