/** The configuration as the router uses it: one spelling of each setting, defaults filled in, times in milliseconds. */
import type { RouteList } from "../routes/route-entry.ts";
import type { Strategy } from "./schema.ts";

/** Retries by kind of failure (LiteLLM's `retry_policy`); a kind left out has `RetryConfig.max`. */
export interface RetriesByKind {
  readonly badRequest?: number | undefined;
  readonly authentication?: number | undefined;
  readonly timeout?: number | undefined;
  readonly rateLimit?: number | undefined;
  readonly contentPolicy?: number | undefined;
  readonly internal?: number | undefined;
  readonly notFound?: number | undefined;
}

export interface RetryConfig {
  /** Tries after the first one, within one model name. */
  readonly max: number;
  readonly byKind: RetriesByKind;
  /** False: the same short pause before each retry. */
  readonly exponential: boolean;
  /** Least pause before a retry. */
  readonly minDelayMs: number;
}

export interface Fallbacks {
  readonly general: ReadonlyMap<string, readonly string[]>;
  readonly contextWindow: ReadonlyMap<string, readonly string[]>;
  readonly contentPolicy: ReadonlyMap<string, readonly string[]>;
  /** For every name that has none of its own. */
  readonly byDefault: readonly string[];
  readonly max: number;
}

export interface RouterConfig extends RouteList {
  readonly strategy: Strategy;
  readonly retry: RetryConfig;
  readonly fallbacks: Fallbacks;
  /** Streams: longest wait for the upstream's response headers. */
  readonly firstByteMs: number;
  /** Answers in one piece: longest wait for the whole answer (nothing comes before it is written). */
  readonly totalMs: number;
  /** Longest silence of an upstream in the middle of a stream. */
  readonly idleMs: number;
  /** Upstream silence after which the client is sent a sign of life. */
  readonly keepAliveMs: number;
  readonly cooldown: {
    /** 0: never. */
    readonly ms: number;
    /** Failures a minute before a cooldown; null: by share of failures. */
    readonly allowedFails: number | null;
  };
  /** Time an identical request is answered from memory, unless its route says otherwise; 0 is off. */
  readonly cacheTtlMs: number;
}
