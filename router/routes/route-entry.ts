/** A route as the configuration gives it: a name that callers write, and one deployment behind it. */
import type { DeploymentParams } from "./deployment.ts";

/** Prices as the configuration gives them, in US dollars a token. */
export interface ConfiguredPrice {
  readonly input?: number | undefined;
  readonly output?: number | undefined;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
}

/** One element of `model_list`. Strings may hold `os.environ/NAME`, resolved when a call is made. */
export interface RouteEntry {
  readonly id: string;
  /** The name callers write; may hold `*`. */
  readonly name: string;
  /** Provider prefix and upstream name; may hold `*`, filled with what `name`'s stars caught. */
  readonly model: string;
  readonly provider?: string | undefined;
  readonly apiBase?: string | undefined;
  readonly apiKey?: string | undefined;
  readonly apiFormat?: "anthropic" | "openai" | undefined;
  readonly params: DeploymentParams;
  readonly weight?: number | undefined;
  /** Lower is asked first; entries without one come last. */
  readonly order: number;
  readonly requestsPerMinute?: number | undefined;
  readonly tokensPerMinute?: number | undefined;
  readonly maxParallel?: number | undefined;
  readonly firstByteMs?: number | undefined;
  readonly totalMs?: number | undefined;
  readonly maxRetries?: number | undefined;
  readonly cacheTtlMs?: number | undefined;
  readonly contextTokens?: number | undefined;
  readonly price?: ConfiguredPrice | undefined;
}

/** The part of the configuration that decides which route takes a name. */
export interface RouteList {
  readonly routes: readonly RouteEntry[];
  /** Another name for a model: from `model_group_alias`. */
  readonly aliases: ReadonlyMap<string, string>;
}
