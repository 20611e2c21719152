/** What a model call used: counted here, at the router, from what the upstream says it billed. */

/** Tokens of one model call. The four counts do not overlap: their sum is everything that was billed. */
export interface Usage {
  /** Input tokens that were neither read from a cache nor written to one. */
  readonly inputTokens: number;
  /** Output tokens, thinking included. */
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
}

/** Reads the `usage` object of a Messages answer. Undefined when there is none or it is not one. */
export function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const usage = value as Record<string, unknown>;
  if (typeof usage["input_tokens"] !== "number" && typeof usage["output_tokens"] !== "number") return undefined;
  return {
    inputTokens: tokens(usage["input_tokens"]),
    outputTokens: tokens(usage["output_tokens"]),
    cacheReadTokens: tokens(usage["cache_read_input_tokens"]),
    cacheWriteTokens: tokens(usage["cache_creation_input_tokens"]),
  };
}

function tokens(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : 0;
}
