/** One place a model can be asked for: an upstream, its address, its key and the model's name there. */

/** The dialect an upstream speaks; it decides which file of `upstreams/` makes the call. */
export type ApiFormat = "anthropic" | "openai" | "demo";

/** What the configuration asks of one deployment beyond its address. Nothing here is secret. */
export interface DeploymentParams {
  /** Headers added to each upstream request (`extra_headers`). */
  readonly extraHeaders: Readonly<Record<string, string>>;
  /** Fields laid over the upstream request's JSON body, last (`extra_body`). */
  readonly extraBody: Readonly<Record<string, unknown>>;
  /** Request fields in the upstream's own dialect, used when the caller left them out (`temperature: 0.2`). */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Fields of the upstream request that this deployment refuses and that are taken out (`additional_drop_params`). */
  readonly dropParams: readonly string[];
  /** Most output tokens this deployment gives: `max_tokens` is lowered to it. */
  readonly maxOutputTokens?: number;
}

/** A deployment ready to be called: captures filled in, key resolved. */
export interface Deployment {
  /** Stable as long as the configuration's text is: counts, cooldowns and limits hang on it. */
  readonly id: string;
  /** `model_name` of the route that led here, as the configuration writes it. */
  readonly route: string;
  /** Provider prefix (`groq`, `openrouter`, ...): small differences of dialect hang on it. */
  readonly provider: string;
  /** The model's name at the upstream, provider prefix removed. */
  readonly model: string;
  /** No trailing slash. OpenAI format: up to and including `/v1`. Anthropic format: what stands before `/v1/messages`. Demo: empty. */
  readonly apiBase: string;
  /** Absent for upstreams that need none. Never logged. */
  readonly apiKey?: string;
  /** How `apiKey` is sent: `Authorization: Bearer`, or Anthropic's `x-api-key`, or an OAuth token with its beta header. */
  readonly auth: "bearer" | "x-api-key" | "oauth" | "none";
  readonly apiFormat: ApiFormat;
  readonly params: DeploymentParams;
}
