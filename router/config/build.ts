/** Turns the file's sections into a `RouterConfig`: one spelling of each setting, defaults, milliseconds. */
import type { ConfiguredPrice, RouteEntry } from "../routes/route-entry.ts";
import type { Report } from "./report.ts";
import type { RouterConfig } from "./router-config.ts";
import {
  type LitellmSettingsFile,
  type ModelEntryFile,
  PRESETS,
  type RouterSettingsFile,
  STRATEGIES,
  type Strategy,
} from "./schema.ts";

const DEFAULT_RETRIES = 2;
const DEFAULT_FIRST_BYTE_MS = 30_000;
const DEFAULT_TOTAL_MS = 600_000;
const DEFAULT_IDLE_MS = 60_000;
const DEFAULT_KEEP_ALIVE_MS = 15_000;
const DEFAULT_COOLDOWN_MS = 5_000;
const DEFAULT_CACHE_TTL_MS = 600_000;
const DEFAULT_MAX_FALLBACKS = 5;

/** Where two keys mean the same setting, the more specific one wins. */
export function buildConfig(
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
    aliases: new Map(
      Object.entries(router.model_group_alias ?? {}).map(([name, target]) => [
        name,
        typeof target === "string" ? target : target.model,
      ]),
    ),
    strategy: toStrategy(router, report),
    retry: {
      max: policy.max_retries ?? router.num_retries ?? litellm.num_retries ?? DEFAULT_RETRIES,
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
      max: router.max_fallbacks ?? DEFAULT_MAX_FALLBACKS,
    },
    firstByteMs: toMs(router.stream_timeout ?? timeout ?? policy.timeout) ?? DEFAULT_FIRST_BYTE_MS,
    totalMs: toMs(timeout) ?? DEFAULT_TOTAL_MS,
    idleMs: toMs(router.stream_idle_timeout) ?? DEFAULT_IDLE_MS,
    keepAliveMs: toMs(router.keepalive_interval) ?? DEFAULT_KEEP_ALIVE_MS,
    cooldown: {
      ms: router.disable_cooldowns === true ? 0 : (toMs(router.cooldown_time) ?? DEFAULT_COOLDOWN_MS),
      allowedFails: router.allowed_fails ?? litellm.allowed_fails ?? null,
    },
    cacheTtlMs: litellm.cache === true ? (toMs(litellm.cache_params?.ttl) ?? DEFAULT_CACHE_TTL_MS) : 0,
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
      `\`${asked}\` is not supported here (only ${STRATEGIES.join(", ")}): simple-shuffle is used`,
      "warning",
    );
  }
  return known ?? "simple-shuffle";
}

function toFallbackMap(list: readonly Record<string, string[]>[] = []): Map<string, string[]> {
  return new Map(list.flatMap((item) => Object.entries(item)));
}

function toMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}
