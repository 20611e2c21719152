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
