/** A deployment is one upstream that serves a model: its address, its key and the model's name there. */

/** The API an upstream speaks. It decides which file of `upstreams/` makes the call. */
export type ApiFormat = "anthropic" | "openai" | "demo";

/** Settings of one deployment beyond its address. Nothing here is secret. */
export interface DeploymentParams {
  /** Headers added to each upstream request (`extra_headers`). */
  readonly extraHeaders: Readonly<Record<string, string>>;
  /** Fields that override the upstream request's JSON body, applied last (`extra_body`). */
  readonly extraBody: Readonly<Record<string, unknown>>;
  /** Request fields in the upstream's own dialect, used when the caller omits them (`temperature: 0.2`). */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Fields to remove from the upstream request because this deployment refuses them (`additional_drop_params`). */
  readonly dropParams: readonly string[];
  /** The most output tokens this deployment gives; a higher `max_tokens` is lowered to it. */
  readonly maxOutputTokens?: number;
}

/** A deployment that is ready to be called: wildcards filled in, key resolved. */
export interface Deployment {
  /** Stable as long as the configuration does not change: counts, cooldowns and limits are kept under it. */
  readonly id: string;
  /** `model_name` of the matching route, as the configuration writes it. */
  readonly route: string;
  /** Provider prefix (`groq`, `openrouter`, ...); it decides small differences of dialect. */
  readonly provider: string;
  /** The model's name at the upstream, without the provider prefix. */
  readonly model: string;
  /** No trailing slash. OpenAI format: up to and including `/v1`. Anthropic format: the part before `/v1/messages`. Demo: empty. */
  readonly apiBase: string;
  /** Absent for upstreams that need no key. Never logged. */
  readonly apiKey?: string;
  /** How `apiKey` is sent: as `Authorization: Bearer`, as Anthropic's `x-api-key`, or as an OAuth token with its beta header. */
  readonly auth: "bearer" | "x-api-key" | "oauth" | "none";
  readonly apiFormat: ApiFormat;
  readonly params: DeploymentParams;
}
