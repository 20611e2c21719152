/** What a model call used: counted here, at the router, from what the upstream says it billed. */

/** Tokens of one model call. The first four counts do not overlap: their sum is everything that was billed. */
export interface Usage {
  /** Input tokens that were neither read from a cache nor written to one. */
  readonly inputTokens: number;
  /** Output tokens, thinking included. */
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  /** The part of `cacheWriteTokens` that is kept for an hour, where the provider has such a thing: it costs more. */
  readonly cacheWriteHourTokens?: number;
}

/**
 * How a call ended. `ok`: a whole answer; `failed`: an error before the answer began; `cut`: an answer that broke, stalled
 * or ended in an error event; `cancelled`: the client left; `cached`: answered from memory, nothing was billed.
 */
export type CallOutcome = "ok" | "failed" | "cut" | "cancelled" | "cached";

/** One model call, for whoever keeps accounts. One record a call, also for calls that fail. Holds no prompt and no key. */
export interface UsageRecord {
  readonly requestId: string;
  /** ISO, when the call came in. */
  readonly at: string;
  readonly account: string;
  readonly keyId: string | null;
  readonly sessionId: string | null;
  /** The session's sub-agent that called; absent for its main agent. */
  readonly agentId?: string;
  /** The model as the caller wrote it. */
  readonly model: string;
  /** Who answered, or was asked last; null when nobody was asked. */
  readonly provider: string | null;
  readonly upstreamModel: string | null;
  readonly deployment: string | null;
  readonly stream: boolean;
  readonly outcome: CallOutcome;
  /** HTTP status the client saw; 499 when it left before there was one. */
  readonly status: number;
  /** Null: unknown (a call that failed or was cut before the upstream said anything). */
  readonly usage: Usage | null;
  /** True when `usage` is partly our own count of what was streamed, because the upstream never got to say. */
  readonly estimated: boolean;
  /** US dollars; null when the price or the usage is not known: unknown is not zero. */
  readonly costUsd: number | null;
  /** Which table the cost was computed with: `PRICES_VERSION`, or `config` for the configuration's own prices. */
  readonly priceVersion: string | null;
  readonly durationMs: number;
  /** Until the upstream began to answer; null when it never did. */
  readonly firstByteMs: number | null;
  /** Upstream requests made, retries and fallbacks included. */
  readonly tries: number;
}

/** Reads the `usage` object of a Messages answer. Undefined when there is none or it is not one. */
export function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const usage = value as Record<string, unknown>;
  if (typeof usage["input_tokens"] !== "number" && typeof usage["output_tokens"] !== "number") return undefined;
  const hour = tokens(
    (usage["cache_creation"] as Record<string, unknown> | null | undefined)?.["ephemeral_1h_input_tokens"],
  );
  return {
    inputTokens: tokens(usage["input_tokens"]),
    outputTokens: tokens(usage["output_tokens"]),
    cacheReadTokens: tokens(usage["cache_read_input_tokens"]),
    cacheWriteTokens: tokens(usage["cache_creation_input_tokens"]),
    ...(hour > 0 ? { cacheWriteHourTokens: hour } : {}),
  };
}

export function totalTokens(usage: Usage): number {
  return usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
}

function tokens(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}
