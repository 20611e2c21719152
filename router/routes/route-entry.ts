/** A route as the configuration gives it: a name that callers write, and one deployment behind it. */
import type { DeploymentParams } from "./deployment.ts";

/** Prices from the configuration, in US dollars per token. */
export interface ConfiguredPrice {
  readonly input?: number | undefined;
  readonly output?: number | undefined;
  readonly cacheRead?: number | undefined;
  readonly cacheWrite?: number | undefined;
}

/** One element of `model_list`. Strings may be `os.environ/NAME`, which is resolved at each call. */
export interface RouteEntry {
  readonly id: string;
  /** The name callers write; may contain `*`. */
  readonly name: string;
  /** Provider prefix and upstream name. May contain `*`, filled with the text that the stars in `name` matched. */
  readonly model: string;
  readonly provider?: string | undefined;
  readonly apiBase?: string | undefined;
  readonly apiKey?: string | undefined;
  readonly apiFormat?: "anthropic" | "openai" | undefined;
  readonly params: DeploymentParams;
  readonly weight?: number | undefined;
  /** Lower numbers are tried first; entries without one come last. */
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
  /** Alias → model name (`model_group_alias`). */
  readonly aliases: ReadonlyMap<string, string>;
}
