/** Accounts for a model call: exactly one usage record after it has ended. */
import { type CallOutcome, totalTokens, type Usage, type UsageRecord } from "../base/usage.ts";
import { isStream, type RoutedCall } from "../dispatch/attempt.ts";
import type { Dispatched, Switchboard } from "../dispatch/dispatch.ts";
import type { Reservation } from "../money/budget.ts";
import { costOf, priceOf } from "../money/prices.ts";
import { tierFactor } from "../money/tiers.ts";
import type { Caller } from "../request/caller.ts";
import type { Match } from "../routes/routes.ts";
import type { SseWatch } from "../stream/sse-watch.ts";

const BYTES_PER_TOKEN = 4;

/** A checked call whose model has a route. */
export interface AcceptedCall extends RoutedCall {
  readonly caller: Caller;
  readonly match: Match;
  /** Whether the client asked for a fresh answer (`cache-control: no-cache` or `no-store`). */
  readonly bypassCache: boolean;
}

/** What an account needs of the router. */
export interface AccountDeps {
  readonly board: Switchboard;
  readonly onUsage?: ((record: UsageRecord) => void) | undefined;
}

/** Makes the usage record of one call. */
export class Account {
  reservation: Extract<Reservation, { granted: true }> | null = null;
  readonly #call: AcceptedCall;
  readonly #deps: AccountDeps;
  readonly #startedAt: number;
  #closed = false;

  constructor(call: AcceptedCall, deps: AccountDeps) {
    this.#call = call;
    this.#deps = deps;
    this.#startedAt = deps.board.deps.now();
  }

  /** Ends the account: settles the reservation, counts tokens and writes the record. Further calls have no effect. */
  close(outcome: CallOutcome, status: number, result: Dispatched | null, watch?: SseWatch): void {
    if (this.#closed) return;
    this.#closed = true;
    const { board, onUsage } = this.#deps;
    const { caller, request, requestId, kind } = this.#call;
    const served = result?.served ?? null;
    const { usage, estimated } = this.#usage(outcome, result, watch);
    const price =
      served === null ? null : priceOf(served.deployment.provider, served.deployment.model, served.entry.price);
    const free = outcome === "cached" || kind === "count_tokens";
    const factor = served === null ? 1 : tierFactor(request, served.deployment);
    const record: UsageRecord = {
      requestId,
      at: new Date(this.#startedAt).toISOString(),
      account: caller.account,
      keyId: caller.keyId,
      sessionId: caller.sessionId,
      ...(caller.agentId === undefined ? {} : { agentId: caller.agentId }),
      model: request.model,
      provider: served?.deployment.provider ?? null,
      upstreamModel: served?.deployment.model ?? null,
      deployment: served?.deployment.id ?? null,
      stream: isStream(this.#call),
      outcome,
      status,
      usage,
      estimated,
      costUsd: free ? 0 : usage === null || price === null ? costWithoutUsage(result) : costOf(usage, price, factor),
      priceVersion: price?.version ?? null,
      durationMs: board.deps.now() - this.#startedAt,
      firstByteMs: result?.kind === "answer" ? result.answer.firstByteMs : null,
      tries: result?.tries.length ?? 0,
    };
    if (served !== null && usage !== null) board.states.countTokens(served.entry.id, totalTokens(usage));
    this.reservation?.settle(record);
    onUsage?.(record);
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
    // A broken stream is billed too, but the upstream did not get to say how much.
    const input = Math.ceil(this.#call.request.raw.length / BYTES_PER_TOKEN);
    const base = said !== null && totalTokens(said) - said.outputTokens > 0 ? said : { ...NOTHING, inputTokens: input };
    const outputTokens = Math.max(said?.outputTokens ?? 0, watch.estimatedOutputTokens);
    return { usage: { ...base, outputTokens }, estimated: true };
  }
}

const NOTHING: Usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 };

/** A call that was never sent cost nothing; the cost of one that was sent is unknown. */
function costWithoutUsage(result: Dispatched | null): number | null {
  return result === null || result.tries.length === 0 ? 0 : null;
}
