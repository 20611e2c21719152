/** The configuration as the router uses it: one spelling of each setting, defaults filled in, times in milliseconds. */
import type { RouteList } from "../routes/route-entry.ts";
import type { Strategy } from "./schema.ts";

/** Retries by kind of failure (LiteLLM's `retry_policy`); an absent kind uses `RetryConfig.max`. */
export interface RetriesByKind {
  readonly badRequest?: number | undefined;
  readonly authentication?: number | undefined;
  readonly timeout?: number | undefined;
  readonly rateLimit?: number | undefined;
  readonly contentPolicy?: number | undefined;
  readonly internal?: number | undefined;
  readonly notFound?: number | undefined;
}

/** How often a failed try is repeated, and after which pause. */
export interface RetryConfig {
  /** Retries after the first try, within one model name. */
  readonly max: number;
  readonly byKind: RetriesByKind;
  /** When false, the pause before each retry is the same. */
  readonly exponential: boolean;
  /** Shortest pause before a retry. */
  readonly minDelayMs: number;
}

/** Other models to ask when one has failed for good: model name → models, by kind of failure. */
export interface Fallbacks {
  readonly general: ReadonlyMap<string, readonly string[]>;
  readonly contextWindow: ReadonlyMap<string, readonly string[]>;
  readonly contentPolicy: ReadonlyMap<string, readonly string[]>;
  /** For every name without a list of its own. */
  readonly byDefault: readonly string[];
  readonly max: number;
}

/** The whole configuration of a router. */
export interface RouterConfig extends RouteList {
  readonly strategy: Strategy;
  readonly retry: RetryConfig;
  readonly fallbacks: Fallbacks;
  /** Streams: longest wait for the upstream's response headers. */
  readonly firstByteMs: number;
  /** Answers without a stream: longest wait for the whole answer, since nothing is sent before it is complete. */
  readonly totalMs: number;
  /** Longest silence of an upstream in mid-stream. */
  readonly idleMs: number;
  /** Upstream silence after which the client is sent a keep-alive. */
  readonly keepAliveMs: number;
  readonly cooldown: {
    /** Length of a cooldown; 0 turns cooldowns off. */
    readonly ms: number;
    /** Failures per minute that do not yet cause a cooldown; null: the share of failures decides. */
    readonly allowedFails: number | null;
  };
  /** How long an identical request is answered from memory, unless its route says otherwise; 0 turns the cache off. */
  readonly cacheTtlMs: number;
}
