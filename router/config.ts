/**
 * `litellm_config.yaml` → `RouterConfig`: one reading of the file, with every problem pointed at by line and column.
 *
 * Nothing throws on a bad file: what can be understood is used, the rest is a problem. Whoever starts the product refuses
 * to start on an error and prints warnings.
 */
import type { z } from "zod";
import { type Path, readYaml, type YamlText } from "./config-lines.ts";
import {
  litellmParams,
  type LitellmSettingsFile,
  modelEntry,
  type ModelEntryFile,
  modelInfo,
  PRESETS,
  retryPolicy,
  type RouterSettingsFile,
  SECTIONS,
  WITHOUT_EFFECT,
} from "./config-schema.ts";
import type { DeploymentParams } from "./deployment.ts";

/** How a deployment is chosen among the healthy ones of the best `order`. */
export const STRATEGIES = ["simple-shuffle", "least-busy", "latency-based-routing", "first-healthy"] as const;
export type Strategy = (typeof STRATEGIES)[number];

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
    readonly ms: number;
    /** Failures a minute before a cooldown; null: by share of failures. */ readonly allowedFails: number | null;
  };
  /** Time an identical request is answered from memory, unless its route says otherwise; 0 is off. */
  readonly cacheTtlMs: number;
}

export const DEFAULT_FIRST_BYTE_MS = 30_000;
export const DEFAULT_TOTAL_MS = 600_000;

/** Reads a configuration text. An empty text is a valid configuration with no routes of its own. */
export function parseRouterConfig(text: string): { config: RouterConfig; problems: ConfigProblem[] } {
  const yaml = readYaml(text);
  const report = new Report(yaml);
  for (const fault of yaml.faults) report.problems.push({ ...fault, path: "" });
  const root = yaml.value ?? {};
  if (!isRecord(root)) {
    report.add([], "the file must be a map with `model_list`");
    return { config: build([], {}, {}, report), problems: report.problems };
  }
  report.unknown([], root, ["model_list", ...Object.keys(SECTIONS)], "");
  const router = readSection(report, root, "router_settings") as RouterSettingsFile;
  const litellm = readSection(report, root, "litellm_settings") as LitellmSettingsFile;
  const config = build(readEntries(report, root["model_list"]), router, litellm, report);
  return { config, problems: report.problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

class Report {
  readonly problems: ConfigProblem[] = [];
  readonly #yaml: YamlText;

  constructor(yaml: YamlText) {
    this.#yaml = yaml;
  }

  add(path: Path, message: string, severity: ConfigProblem["severity"] = "error"): void {
    this.problems.push({ ...this.#yaml.locate(path), path: toPathText(path), message, severity });
  }

  issues(path: Path, error: z.ZodError): void {
    for (const issue of error.issues) this.add([...path, ...(issue.path as (string | number)[])], issue.message);
  }

  unknown(path: Path, value: Record<string, unknown>, known: readonly string[], section: string): void {
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      const idle = WITHOUT_EFFECT[section]?.includes(key) ?? false;
      this.add(
        [...path, key],
        idle ? `\`${key}\` is LiteLLM's and has no effect here` : `unknown key \`${key}\`, ignored`,
        "warning",
      );
    }
  }
}

function readEntries(report: Report, list: unknown): ModelEntryFile[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) {
    report.add(["model_list"], "`model_list` must be a list");
    return [];
  }
  const entries: ModelEntryFile[] = [];
  for (const [index, raw] of (list as unknown[]).entries()) {
    const path: Path = ["model_list", index];
    const parsed = modelEntry.safeParse(raw);
    if (isRecord(raw)) {
      report.unknown(path, raw, Object.keys(modelEntry.shape), "model_entry");
      const params = raw["litellm_params"];
      if (isRecord(params))
        report.unknown(
          [...path, "litellm_params"],
          params,
          [...Object.keys(litellmParams.shape), ...PRESETS],
          "litellm_params",
        );
      const info = raw["model_info"];
      if (isRecord(info)) {
        const known = Object.keys(info).filter((key) => key.startsWith("supports_"));
        report.unknown([...path, "model_info"], info, [...Object.keys(modelInfo.shape), ...known], "model_info");
      }
    }
    if (!parsed.success) {
      report.issues(path, parsed.error);
      continue;
    }
    checkEntry(report, path, parsed.data);
    entries.push({
      ...parsed.data,
      litellm_params: { ...(raw as { litellm_params: object }).litellm_params, ...parsed.data.litellm_params },
    });
  }
  return entries;
}

function checkEntry(report: Report, path: Path, entry: ModelEntryFile): void {
  const stars = (text: string): number => text.split("*").length - 1;
  if (stars(entry.litellm_params.model) > stars(entry.model_name)) {
    report.add([...path, "litellm_params", "model"], "`model` has more `*` than `model_name`: nothing would fill them");
  }
  const key = entry.litellm_params.api_key;
  if (key !== undefined && !key.startsWith(ENV_PREFIX) && key.length > 8) {
    report.add(
      [...path, "litellm_params", "api_key"],
      "a key stands in the file: write `os.environ/NAME` and set NAME instead",
      "warning",
    );
  }
}

function readSection(report: Report, root: Record<string, unknown>, name: keyof typeof SECTIONS): object {
  const raw = root[name];
  if (raw === undefined || raw === null) return {};
  if (!isRecord(raw)) {
    report.add([name], `\`${name}\` must be a map`);
    return {};
  }
  const schema = SECTIONS[name];
  report.unknown([name], raw, Object.keys(schema.shape), name);
  const policy = raw["retry_policy"];
  if (isRecord(policy)) report.unknown([name, "retry_policy"], policy, Object.keys(retryPolicy.shape), "retry_policy");
  const cache = raw["cache_params"];
  if (isRecord(cache)) report.unknown([name, "cache_params"], cache, ["ttl", "type"], "cache_params");
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  report.issues([name], parsed.error);
  // One wrong value does not make the rest of the section wrong.
  const bad = new Set(parsed.error.issues.map((issue) => issue.path[0]));
  const rest = schema.safeParse(Object.fromEntries(Object.entries(raw).filter(([key]) => !bad.has(key))));
  return rest.success ? rest.data : {};
}

function build(
  entries: ModelEntryFile[],
  router: RouterSettingsFile,
  litellm: LitellmSettingsFile,
  report: Report,
): RouterConfig {
  const policy = router.retry_policy ?? {};
  const timeout = router.timeout ?? litellm.request_timeout;
  const seen = new Map<string, number>();
  return {
    routes: entries.map((entry) => {
      const nth = (seen.get(entry.model_name) ?? 0) + 1;
      seen.set(entry.model_name, nth);
      return toRouteEntry(entry, `${entry.model_name}#${nth}`);
    }),
    aliases: new Map(Object.entries(router.model_group_alias ?? {})),
    strategy: toStrategy(router, report),
    retry: {
      max: policy.max_retries ?? router.num_retries ?? litellm.num_retries ?? 2,
      byKind: {
        badRequest: policy.BadRequestErrorRetries,
        authentication: policy.AuthenticationErrorRetries,
        timeout: policy.TimeoutErrorRetries,
        rateLimit: policy.RateLimitErrorRetries,
        contentPolicy: policy.ContentPolicyViolationErrorRetries,
        internal: policy.InternalServerErrorRetries,
        notFound: policy.NotFoundErrorRetries,
      },
      exponential: policy.exponential_backoff ?? true,
      minDelayMs: (router.retry_after ?? 0) * 1000,
    },
    fallbacks: {
      general: toFallbackMap(router.fallbacks ?? litellm.fallbacks),
      contextWindow: toFallbackMap(router.context_window_fallbacks ?? litellm.context_window_fallbacks),
      contentPolicy: toFallbackMap(router.content_policy_fallbacks ?? litellm.content_policy_fallbacks),
      byDefault: router.default_fallbacks ?? litellm.default_fallbacks ?? [],
      max: router.max_fallbacks ?? 5,
    },
    firstByteMs: toMs(router.stream_timeout ?? timeout ?? policy.timeout) ?? DEFAULT_FIRST_BYTE_MS,
    totalMs: toMs(timeout) ?? DEFAULT_TOTAL_MS,
    idleMs: toMs(router.stream_idle_timeout) ?? 60_000,
    keepAliveMs: toMs(router.keepalive_interval) ?? 15_000,
    cooldown: {
      ms: router.disable_cooldowns === true ? 0 : (toMs(router.cooldown_time) ?? 5_000),
      allowedFails: router.allowed_fails ?? litellm.allowed_fails ?? null,
    },
    cacheTtlMs: litellm.cache === true ? (toMs(litellm.cache_params?.ttl) ?? 600_000) : 0,
  };
}

function toRouteEntry(entry: ModelEntryFile, id: string): RouteEntry {
  const { litellm_params: params, model_info: info = {} } = entry;
  const presets = PRESETS.flatMap((name) =>
    name in params ? [[name, (params as Record<string, unknown>)[name]]] : [],
  );
  const cap = params.max_tokens ?? info.max_output_tokens ?? info.max_tokens;
  const price: ConfiguredPrice = {
    input: info.input_cost_per_token ?? params.input_cost_per_token,
    output: info.output_cost_per_token ?? params.output_cost_per_token,
    cacheRead: info.cache_read_input_token_cost ?? params.cache_read_input_token_cost,
    cacheWrite: info.cache_creation_input_token_cost ?? params.cache_creation_input_token_cost,
  };
  return {
    id: info.id === undefined ? id : String(info.id),
    name: entry.model_name,
    model: params.model,
    provider: params.custom_llm_provider,
    apiBase: params.api_base ?? params.base_url,
    apiKey: params.api_key,
    apiFormat: params.api_format,
    params: {
      extraHeaders: {
        ...params.headers,
        ...params.extra_headers,
        ...(params.organization === undefined ? {} : { "openai-organization": params.organization }),
      },
      extraBody: params.extra_body ?? {},
      defaults: Object.fromEntries(presets) as Record<string, unknown>,
      dropParams: params.additional_drop_params ?? [],
      ...(cap === undefined ? {} : { maxOutputTokens: cap }),
    },
    weight: params.weight,
    order: params.order ?? Number.POSITIVE_INFINITY,
    requestsPerMinute: params.rpm,
    tokensPerMinute: params.tpm,
    maxParallel: params.max_parallel_requests,
    firstByteMs: toMs(params.stream_timeout ?? params.timeout),
    totalMs: toMs(params.timeout),
    maxRetries: params.max_retries,
    cacheTtlMs: toMs(params.cache_ttl),
    contextTokens: info.max_input_tokens,
    price: Object.values(price).some((value) => value !== undefined) ? price : undefined,
  };
}

function toStrategy(router: RouterSettingsFile, report: Report): Strategy {
  if (router.enable_loadbalancing === false) return "first-healthy";
  const asked = router.routing_strategy ?? "simple-shuffle";
  const known = STRATEGIES.find((name) => name === asked);
  if (known === undefined) {
    report.add(
      ["router_settings", "routing_strategy"],
      `\`${asked}\` is not a strategy here (${STRATEGIES.join(", ")}): taken as simple-shuffle`,
      "warning",
    );
  }
  return known ?? "simple-shuffle";
}

function toFallbackMap(list: readonly Record<string, string[]>[] = []): Map<string, string[]> {
  return new Map(list.flatMap((item) => Object.entries(item)));
}

const ENV_PREFIX = "os.environ/";

/** `os.environ/NAME` → NAME; anything else → undefined. */
export function envName(value: string | undefined): string | undefined {
  return value?.startsWith(ENV_PREFIX) === true ? value.slice(ENV_PREFIX.length) : undefined;
}

function toMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}

function toPathText(path: Path): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
