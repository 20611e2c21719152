/**
 * What `litellm_config.yaml` may contain, as zod schemas: LiteLLM's own keys, a few older keys, and ours. The last two
 * are marked.
 *
 * Durations are in seconds, as in LiteLLM. A string of the form `os.environ/NAME` means an environment variable. It is
 * kept as written and resolved when a call needs it.
 */
import { z } from "zod";

const seconds = z.number().positive().max(86_400);
const count = z.int().nonnegative().max(1000);
const dollars = z.number().nonnegative();
/** A list of one-key maps: `[{"model-a": ["model-b", "model-c"]}]`. */
const fallbacks = z.array(z.record(z.string(), z.array(z.string())));

/** How to choose among the healthy deployments of the lowest `order`. `first-healthy` is `enable_loadbalancing: false`. */
export const STRATEGIES = ["simple-shuffle", "least-busy", "latency-based-routing", "first-healthy"] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** Request fields that a deployment may preset. They are sent as written, in the upstream's own dialect. */
export const PRESETS = [
  "frequency_penalty",
  "parallel_tool_calls",
  "presence_penalty",
  "provider",
  "reasoning",
  "reasoning_effort",
  "seed",
  "service_tier",
  "temperature",
  "thinking",
  "top_k",
  "top_p",
  "transforms",
  "verbosity",
] as const;

/** `litellm_params` of an entry: the upstream, its key, limits and presets. */
export const litellmParams = z.object({
  model: z.string().min(1),
  api_base: z.string().min(1).optional(),
  base_url: z.string().min(1).optional(),
  api_key: z.string().min(1).optional(),
  custom_llm_provider: z.string().min(1).optional(),
  /** Ours: `anthropic` sends the request unchanged to `{api_base}/v1/messages`; `openai` translates it. */
  api_format: z.enum(["anthropic", "openai"]).optional(),
  /** Ours: for how many seconds this route answers an identical request from memory. */
  cache_ttl: z.number().nonnegative().max(86_400).optional(),
  weight: z.number().nonnegative().optional(),
  order: z.number().optional(),
  rpm: z.number().positive().optional(),
  tpm: z.number().positive().optional(),
  max_parallel_requests: z.int().positive().optional(),
  timeout: seconds.optional(),
  stream_timeout: seconds.optional(),
  max_retries: count.optional(),
  max_tokens: z.int().positive().optional(),
  extra_headers: z.record(z.string(), z.string()).optional(),
  headers: z.record(z.string(), z.string()).optional(),
  extra_body: z.record(z.string(), z.unknown()).optional(),
  additional_drop_params: z.array(z.string()).optional(),
  organization: z.string().optional(),
  input_cost_per_token: dollars.optional(),
  output_cost_per_token: dollars.optional(),
  cache_read_input_token_cost: dollars.optional(),
  cache_creation_input_token_cost: dollars.optional(),
});

/** `model_info` of an entry: token limits and prices. */
export const modelInfo = z.object({
  id: z.union([z.string().min(1), z.number()]).optional(),
  max_tokens: z.int().positive().optional(),
  max_input_tokens: z.int().positive().optional(),
  max_output_tokens: z.int().positive().optional(),
  input_cost_per_token: dollars.optional(),
  output_cost_per_token: dollars.optional(),
  cache_read_input_token_cost: dollars.optional(),
  cache_creation_input_token_cost: dollars.optional(),
});

/** One element of `model_list`. */
export const modelEntry = z.object({
  model_name: z.string().min(1),
  litellm_params: litellmParams,
  model_info: modelInfo.optional(),
});

/** LiteLLM's keys count retries by kind of failure. `max_retries`, `timeout` and `exponential_backoff` are older keys. */
export const retryPolicy = z.object({
  max_retries: count.optional(),
  timeout: seconds.optional(),
  exponential_backoff: z.boolean().optional(),
  BadRequestErrorRetries: count.optional(),
  AuthenticationErrorRetries: count.optional(),
  TimeoutErrorRetries: count.optional(),
  RateLimitErrorRetries: count.optional(),
  ContentPolicyViolationErrorRetries: count.optional(),
  InternalServerErrorRetries: count.optional(),
  NotFoundErrorRetries: count.optional(),
});

/** The section `router_settings`. */
export const routerSettings = z.object({
  /** One of `STRATEGIES`. Any other name causes a warning and means `simple-shuffle`. */
  routing_strategy: z.string().optional(),
  /** An older key: false always takes the first healthy deployment of a name. */
  enable_loadbalancing: z.boolean().optional(),
  retry_policy: retryPolicy.optional(),
  num_retries: count.optional(),
  timeout: seconds.optional(),
  stream_timeout: seconds.optional(),
  /** Shortest wait before a retry, in seconds. */
  retry_after: z.number().nonnegative().max(600).optional(),
  allowed_fails: count.optional(),
  cooldown_time: z.number().nonnegative().max(86_400).optional(),
  disable_cooldowns: z.boolean().optional(),
  fallbacks: fallbacks.optional(),
  context_window_fallbacks: fallbacks.optional(),
  content_policy_fallbacks: fallbacks.optional(),
  default_fallbacks: z.array(z.string()).optional(),
  max_fallbacks: count.optional(),
  model_group_alias: z
    .record(z.string(), z.union([z.string(), z.object({ model: z.string(), hidden: z.boolean().optional() })]))
    .optional(),
  /** Ours: how many seconds an upstream may be silent in mid-stream. */
  stream_idle_timeout: seconds.optional(),
  /** Ours: seconds of upstream silence after which the client gets a keep-alive. */
  keepalive_interval: seconds.optional(),
});

/** The section `litellm_settings`. */
export const litellmSettings = z.object({
  num_retries: count.optional(),
  request_timeout: seconds.optional(),
  allowed_fails: count.optional(),
  fallbacks: fallbacks.optional(),
  context_window_fallbacks: fallbacks.optional(),
  content_policy_fallbacks: fallbacks.optional(),
  default_fallbacks: z.array(z.string()).optional(),
  cache: z.boolean().optional(),
  cache_params: z.object({ ttl: seconds.optional(), type: z.string().optional() }).optional(),
});

/** Sections of the file and their schemas. `model_list` is not among them: it is read entry by entry. */
export const SECTIONS = { router_settings: routerSettings, litellm_settings: litellmSettings } as const;

/** LiteLLM's own keys that have no effect here, by section. The warning says so, instead of calling them misspelt. */
export const WITHOUT_EFFECT: Readonly<Record<string, readonly string[]>> = {
  "": ["general_settings", "environment_variables", "mcp_servers", "guardrails", "include", "credential_list"],
  litellm_params: [
    "drop_params",
    "tags",
    "mock_response",
    "litellm_credential_name",
    "use_in_pass_through",
    "api_version",
  ],
  model_info: ["mode", "base_model", "litellm_provider", "description", "tier", "team_id", "db_model", "access_groups"],
  router_settings: [
    "enable_pre_call_checks",
    "set_verbose",
    "debug_level",
    "redis_host",
    "redis_port",
    "redis_password",
    "redis_url",
    "cache_responses",
    "cache_kwargs",
    "caching_groups",
    "routing_strategy_args",
    "allowed_fails_policy",
    "model_group_retry_policy",
    "client_ttl",
    "enable_tag_filtering",
    "disable_fallbacks",
    "optional_pre_call_checks",
    "default_max_parallel_requests",
    "default_litellm_params",
    "max_retries",
  ],
  litellm_settings: [
    "drop_params",
    "set_verbose",
    "json_logs",
    "callbacks",
    "success_callback",
    "failure_callback",
    "modify_params",
    "turn_off_message_logging",
    "redact_user_api_key_info",
    "telemetry",
    "ssl_verify",
    "max_budget",
    "budget_duration",
    "context_window_fallback_dict",
    "force_ipv4",
  ],
  retry_policy: [],
  cache_params: ["host", "port", "password", "namespace", "supported_call_types", "mode", "s3_bucket_name"],
};

export type ModelEntryFile = z.infer<typeof modelEntry>;
export type RouterSettingsFile = z.infer<typeof routerSettings>;
export type LitellmSettingsFile = z.infer<typeof litellmSettings>;
