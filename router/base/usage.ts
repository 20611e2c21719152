/** What a model call used, counted at the router from what the upstream says it billed. */

/** Tokens of one model call. The first four counts do not overlap; their sum is everything that was billed. */
export interface Usage {
  /** Input tokens that were neither read from a cache nor written to one. */
  readonly inputTokens: number;
  /** Output tokens, thinking included. */
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  /** The part of `cacheWriteTokens` cached for an hour, where the provider offers that; it costs more. */
  readonly cacheWriteHourTokens?: number;
  /** Web searches that the provider made; each one is billed beside the tokens. */
  readonly webSearches?: number;
}

/**
 * How a call ended. `ok`: a complete answer. `failed`: an error before the answer began. `cut`: the answer broke off,
 * stalled or ended in an error event. `cancelled`: the client left. `cached`: answered from memory, nothing was billed.
 */
export type CallOutcome = "ok" | "failed" | "cut" | "cancelled" | "cached";

/**
 * One model call or count of tokens, for accounting. Each call has one record, failed calls too. Contains no prompt and no
 * key.
 */
export interface UsageRecord {
  readonly requestId: string;
  /** When the call came in, as an ISO time. */
  readonly at: string;
  readonly account: string;
  readonly keyId: string | null;
  readonly sessionId: string | null;
  /** The session's subagent that made the call; absent for its main agent. */
  readonly agentId?: string;
  /** The model as the caller wrote it. */
  readonly model: string;
  /** The provider that answered, or was asked last; null when none was asked. */
  readonly provider: string | null;
  readonly upstreamModel: string | null;
  readonly deployment: string | null;
  readonly stream: boolean;
  readonly outcome: CallOutcome;
  /** HTTP status the client received; 499 when it left before there was one. */
  readonly status: number;
  /** Null when unknown: the call failed or was cut before the upstream reported any. */
  readonly usage: Usage | null;
  /** True when `usage` is partly our own count of what was streamed, because the upstream did not report it. */
  readonly estimated: boolean;
  /** US dollars; null when the price or the usage is unknown. Unknown is not zero. */
  readonly costUsd: number | null;
  /** The price list behind the cost: `PRICES_VERSION`, or `config` for prices from the configuration. */
  readonly priceVersion: string | null;
  readonly durationMs: number;
  /** Milliseconds until the upstream began to answer; null when it never did. */
  readonly firstByteMs: number | null;
  /** Upstream requests made, retries and fallbacks included. */
  readonly tries: number;
}

/** Reads the `usage` object of a Messages answer. Undefined when it is missing or malformed. */
export function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const usage = value as Record<string, unknown>;
  if (typeof usage["input_tokens"] !== "number" && typeof usage["output_tokens"] !== "number") return undefined;
  const hour = tokens(
    (usage["cache_creation"] as Record<string, unknown> | null | undefined)?.["ephemeral_1h_input_tokens"],
  );
  const searches = tokens(
    (usage["server_tool_use"] as Record<string, unknown> | null | undefined)?.["web_search_requests"],
  );
  return {
    inputTokens: tokens(usage["input_tokens"]),
    outputTokens: tokens(usage["output_tokens"]),
    cacheReadTokens: tokens(usage["cache_read_input_tokens"]),
    cacheWriteTokens: tokens(usage["cache_creation_input_tokens"]),
    ...(hour > 0 ? { cacheWriteHourTokens: hour } : {}),
    ...(searches > 0 ? { webSearches: searches } : {}),
  };
}

/** All billed tokens of a call, input and output. */
export function totalTokens(usage: Usage): number {
  return usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
}

function tokens(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}
