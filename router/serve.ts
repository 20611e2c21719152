/**
 * One model call from the checked request to the last byte of its answer: cache, budget, dispatch, the client's stream,
 * and the one record that is made of it however it ends.
 */
import { isStream, type RoutedCall } from "./attempt.ts";
import type { Estimate, Reservation, Reserve } from "./budget.ts";
import { type AnswerCache, AnswerRecorder, cacheKey } from "./cache.ts";
import { dispatch, type Dispatched, type Switchboard } from "./dispatch.ts";
import { errorResponse } from "./errors.ts";
import { costOf, priceOf } from "./prices.ts";
import type { Caller } from "./caller.ts";
import { type Match, toDeployment } from "./routes.ts";
import type { SseWatch } from "./sse-watch.ts";
import { guardStream, type StartedStream, type StreamEnd } from "./stream-guard.ts";
import { type CallOutcome, totalTokens, type Usage, type UsageRecord } from "./usage.ts";

/**
 * How long a stream's status line waits for the upstream. Before it, a failure has its own HTTP status; after it the
 * stream begins with a `ping` and a later failure is an `event: error`, because clients and proxies give up on silence.
 */
export const EARLY_START_MS = 10_000;

const BYTES_PER_TOKEN = 4;
/** Nobody reads it: the client has gone. */
const CLIENT_GONE = 499;

export interface ServeDeps {
  readonly board: Switchboard;
  readonly cache: AnswerCache;
  readonly reserve?: Reserve | undefined;
  readonly onUsage?: ((record: UsageRecord) => void) | undefined;
}

/** A call whose model has a route. */
export interface AcceptedCall extends RoutedCall {
  readonly caller: Caller;
  readonly match: Match;
  /** The client asked for a fresh answer (`cache-control: no-cache` or `no-store`). */
  readonly bypassCache: boolean;
}

/** Never throws because of an upstream, a client that leaves, or a budget that says no. */
export async function serve(call: AcceptedCall, deps: ServeDeps): Promise<Response> {
  const { board, cache, reserve } = deps;
  const account = new Account(call, deps);
  const ttlMs = call.kind === "messages" ? (call.match.entries[0]?.cacheTtlMs ?? board.config.cacheTtlMs) : 0;
  const key =
    ttlMs > 0 && !call.bypassCache
      ? await cacheKey(call.caller.account, call.kind, call.body, call.inbound.get("anthropic-beta"))
      : null;
  const kept = key === null ? undefined : cache.get(key);
  if (kept !== undefined) {
    account.close("cached", 200, null);
    const headers = answerHeaders(new Headers({ "content-type": kept.contentType }), call.requestId);
    headers.set("x-gantry-cache", "hit");
    return new Response(kept.bytes as Uint8Array<ArrayBuffer>, { headers });
  }
  if (reserve !== undefined && call.kind === "messages") {
    const answer = await reserve(toEstimate(call, board));
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
    // A fault of ours: what was reserved is given back, and whoever called makes the answer.
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
  // Pulled when the client leaves: by its request's signal, or by cancelling the stream we gave it.
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
  settled.abort();

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
  // An upstream that answers a streaming call without a body: the guard calls that cut.
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

/** `request-id` is the upstream's where it has one, so that its support can find the call; ours stands beside it. */
function answerHeaders(upstream: Headers, requestId: string): Headers {
  const headers = new Headers(upstream);
  if (!headers.has("request-id")) headers.set("request-id", requestId);
  headers.set("x-gantry-request-id", requestId);
  return headers;
}

function withIds(response: Response, requestId: string): Response {
  return new Response(response.body, { status: response.status, headers: answerHeaders(response.headers, requestId) });
}

function toEstimate({ caller, match, body, raw, requestId }: AcceptedCall, board: Switchboard): Estimate {
  const inputTokens = Math.ceil(raw.length / BYTES_PER_TOKEN);
  const maxOutputTokens = body.max_tokens ?? 0;
  // Any of the deployments may answer: the dearest one counts, and one unknown price makes the whole unknown.
  let maxCostUsd: number | null = 0;
  for (const entry of match.entries) {
    const deployment = toDeployment(entry, match, board.env);
    if ("unusable" in deployment) continue;
    const price = priceOf(deployment.provider, deployment.model, entry.price);
    const usage = { inputTokens, outputTokens: maxOutputTokens, cacheReadTokens: 0, cacheWriteTokens: 0 };
    if (price === null || maxCostUsd === null) maxCostUsd = null;
    else maxCostUsd = Math.max(maxCostUsd, costOf(usage, price));
  }
  return { requestId, ...caller, model: body.model, inputTokens, maxOutputTokens, maxCostUsd };
}

/** Makes the one record of a call. */
class Account {
  reservation: Extract<Reservation, { granted: true }> | null = null;
  readonly #call: AcceptedCall;
  readonly #deps: ServeDeps;
  readonly #startedAt: number;
  #closed = false;

  constructor(call: AcceptedCall, deps: ServeDeps) {
    this.#call = call;
    this.#deps = deps;
    this.#startedAt = deps.board.deps.now();
  }

  close(outcome: CallOutcome, status: number, result: Dispatched | null, watch?: SseWatch): void {
    if (this.#closed) return;
    this.#closed = true;
    const { board, onUsage } = this.#deps;
    const { caller, body, requestId, kind } = this.#call;
    const served = result?.served ?? null;
    const { usage, estimated } = this.#usage(outcome, result, watch);
    const price =
      served === null ? null : priceOf(served.deployment.provider, served.deployment.model, served.entry.price);
    const free = outcome === "cached" || kind === "count_tokens";
    const record: UsageRecord = {
      requestId,
      at: new Date(this.#startedAt).toISOString(),
      account: caller.account,
      keyId: caller.keyId,
      sessionId: caller.sessionId,
      model: body.model,
      provider: served?.deployment.provider ?? null,
      upstreamModel: served?.deployment.model ?? null,
      deployment: served?.deployment.id ?? null,
      stream: isStream(this.#call),
      outcome,
      status,
      usage,
      estimated,
      costUsd: free ? 0 : usage === null || price === null ? costWithoutUsage(result) : costOf(usage, price),
      priceVersion: price?.version ?? null,
      durationMs: board.deps.now() - this.#startedAt,
      firstByteMs: result?.kind === "answer" ? result.answer.firstByteMs : null,
      tries: result?.tries.length ?? 0,
    };
    if (served !== null && usage !== null) board.states.countTokens(served.entry.id, totalTokens(usage));
    this.reservation?.settle(record);
    if (kind === "messages") onUsage?.(record);
    board.log({ event: "model_call", kind, ...record, tried: result?.tries ?? [] });
  }

  #usage(
    outcome: CallOutcome,
    result: Dispatched | null,
    watch?: SseWatch,
  ): { usage: Usage | null; estimated: boolean } {
    if (outcome === "cached") return { usage: NOTHING, estimated: false };
    const said = watch?.usage ?? result?.usage() ?? null;
    if (watch === undefined || result?.kind !== "answer" || outcome === "ok") return { usage: said, estimated: false };
    // A broken stream was billed all the same; the upstream only never got to say how much.
    const input = Math.ceil(this.#call.raw.length / BYTES_PER_TOKEN);
    const base = said !== null && totalTokens(said) - said.outputTokens > 0 ? said : { ...NOTHING, inputTokens: input };
    const outputTokens = Math.max(said?.outputTokens ?? 0, watch.estimatedOutputTokens);
    return { usage: { ...base, outputTokens }, estimated: true };
  }
}

const NOTHING: Usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

/** A call that nobody was asked for cost nothing; one that was sent cost something that nobody knows. */
function costWithoutUsage(result: Dispatched | null): number | null {
  return result === null || result.tries.length === 0 ? 0 : null;
}
