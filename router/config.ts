/**
 * `litellm_config.yaml` → `RouterConfig`: one reading of the file, with every problem pointed at by line and column.
 *
 * Nothing throws on a bad file: what can be understood is used, the rest is a problem. Whoever starts the product refuses
 * to start on an error and prints warnings.
 */
import { buildConfig } from "./config-build.ts";
import { isRecord, readEntries, readSection, Report } from "./config-file.ts";
import { readYaml } from "./config-lines.ts";
import type { LitellmSettingsFile, RouterSettingsFile, Strategy } from "./config-schema.ts";
import type { DeploymentParams } from "./deployment.ts";
import { compileRoutes } from "./routes.ts";

export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `model_list[2].litellm_params.rpm`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly severity: "error" | "warning";
}

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

export interface RouterConfig {
  readonly routes: readonly RouteEntry[];
  readonly aliases: ReadonlyMap<string, string>;
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

/** Reads a configuration text. An empty text is a valid configuration with no routes of its own. */
export function parseRouterConfig(text: string): { config: RouterConfig; problems: ConfigProblem[] } {
  const yaml = readYaml(text);
  const report = new Report(yaml);
  for (const fault of yaml.faults) report.problems.push({ ...fault, path: "" });
  const whole = yaml.value ?? {};
  if (!isRecord(whole)) report.add([], "the file must be a map with `model_list`");
  const root = isRecord(whole) ? whole : {};
  report.unknown([], root, ["model_list", "router_settings", "litellm_settings"], "");
  const router = readSection(report, root, "router_settings") as RouterSettingsFile;
  const litellm = readSection(report, root, "litellm_settings") as LitellmSettingsFile;
  const config = buildConfig(readEntries(report, root["model_list"]), router, litellm, report);
  checkTargets(config, report);
  return { config, problems: report.problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** Fallbacks and aliases that lead nowhere are found now, not when the first model fails. */
function checkTargets(config: RouterConfig, report: Report): void {
  const table = compileRoutes(config);
  const { general, contextWindow, contentPolicy, byDefault } = config.fallbacks;
  const lists: [key: string, targets: Iterable<string>][] = [
    ["fallbacks", [...general.values()].flat()],
    ["context_window_fallbacks", [...contextWindow.values()].flat()],
    ["content_policy_fallbacks", [...contentPolicy.values()].flat()],
    ["default_fallbacks", byDefault],
    ["model_group_alias", config.aliases.values()],
  ];
  for (const [key, targets] of lists) {
    for (const target of new Set(targets)) {
      if (table.match(target) !== undefined) continue;
      const path = report.has(["router_settings", key]) ? ["router_settings", key] : ["litellm_settings", key];
      report.add(path, `no route takes \`${target}\``, "warning");
    }
  }
}
