/**
 * Differences between providers of the OpenAI dialect. An unlisted provider gets `GENERIC`, which most servers accept.
 *
 * Every row is a claim about a provider's API. When one is wrong, the deployment's `additional_drop_params` and
 * `extra_body` correct it without a release, and `relax.ts` drops parameters that a server names as unknown.
 */

/** What the caller asks of thinking, independent of any provider. */
export interface ThinkingWish {
  /** `auto`: the model decides (Anthropic's `adaptive`). */
  readonly mode: "off" | "on" | "auto";
  readonly effort?: string | undefined;
  readonly budgetTokens?: number | undefined;
}

/** How one model at one provider wants its requests. */
export interface Dialect {
  readonly tokensField: "max_tokens" | "max_completion_tokens";
  /** The most output tokens that may be requested; infinite until the provider names a limit. */
  readonly mostTokens: number;
  /** Accepts `temperature` and `top_p`; OpenAI's reasoning models answer 400. */
  readonly sampling: boolean;
  readonly topK: boolean;
  /** The most `stop` strings accepted; 0 when the parameter is refused. */
  readonly maxStops: number;
  readonly parallelToolCalls: boolean;
  /** Sends usage in a stream only when `stream_options` asks for it. False: it always does and refuses the field. */
  readonly streamOptions: boolean;
  /** Passes `cache_control` on to a model that supports it. */
  readonly cacheControl: boolean;
  /** PDFs as `file` parts: not supported, by data, or by data and by address. */
  readonly pdf: "none" | "data" | "data-and-url";
  /** Accepts `image_url` parts. False: a note in words replaces them. */
  readonly images: boolean;
  /** Structured output: by schema; by schema unless there are tools or a stream; as any JSON object; or only by prompt. */
  readonly structured: "schema" | "schema-alone" | "object" | "prompt";
  /** Field that returns the model's earlier reasoning; null when the provider refuses such fields. */
  readonly reasoningBack: "reasoning" | "reasoning_content" | "reasoning_details" | null;
  /** Refuses an assistant message with tool calls that lacks the reasoning field, even an empty one. */
  readonly reasoningRequired: boolean;
  /** Longest tool call id accepted, and whether only letters and digits are allowed. */
  readonly callIds: { readonly maxLength: number; readonly alphanumeric: boolean };
  /** A tool call is returned with the `extra_content` it came with. False: the provider refuses the field. */
  readonly callExtras: boolean;
  /** Default for a missing `extra_content`, where the provider requires one. */
  readonly callExtraDefault?: Record<string, unknown>;
  /** Fields added to every request to this model. */
  readonly always: Record<string, unknown>;
  /** The request fields that express `wish`. */
  thinking(wish: ThinkingWish): Record<string, unknown>;
}

const GENERIC: Dialect = {
  tokensField: "max_tokens",
  mostTokens: Number.POSITIVE_INFINITY,
  sampling: true,
  topK: false,
  maxStops: Number.POSITIVE_INFINITY,
  parallelToolCalls: true,
  streamOptions: true,
  cacheControl: false,
  pdf: "none",
  images: true,
  structured: "schema",
  reasoningBack: null,
  reasoningRequired: false,
  callIds: { maxLength: 40, alphanumeric: false },
  callExtras: false,
  always: {},
  // Unknown servers refuse unknown fields; a deployment can preset `reasoning_effort` itself.
  thinking: () => ({}),
};

const PROVIDERS: Readonly<Record<string, (model: string) => Partial<Dialect>>> = {
  openai: openaiDialect,
  azure: openaiDialect,

  groq: (model) => ({
    tokensField: "max_completion_tokens",
    maxStops: 4,
    structured: "schema-alone",
    // Groq answers 400 to unknown fields, and accepts `reasoning` only for these models.
    reasoningBack: model.includes("gpt-oss") ? "reasoning" : null,
    // Without `parsed` the text contains the thinking between <think> tags.
    always: model.includes("qwen3") ? { reasoning_format: "parsed" } : {},
    thinking: (wish) => groqThinking(model, wish),
  }),

  openrouter: (model) => ({
    topK: true,
    cacheControl: /anthropic|claude|gemini|qwen/.test(model),
    pdf: "data-and-url",
    reasoningBack: "reasoning_details",
    thinking: openrouterThinking,
  }),

  deepseek: () => ({
    structured: "object",
    reasoningBack: "reasoning_content",
    reasoningRequired: true,
    thinking: (wish) => ({ thinking: { type: wish.mode === "off" ? "disabled" : "enabled" } }),
  }),

  moonshot: () => ({ reasoningBack: "reasoning_content", reasoningRequired: true }),

  mistral: () => ({ streamOptions: false, callIds: { maxLength: 9, alphanumeric: true } }),

  gemini: (model) => ({
    callExtras: true,
    // Gemini 3 refuses calls without its signature. It accepts this one for calls that another model wrote.
    callExtraDefault: { google: { thought_signature: "skip_thought_signature_validator" } },
    thinking: (wish) => {
      const effort = wish.mode === "off" ? (/2\.\d-flash/.test(model) ? "none" : "low") : effortOf(wish, "high");
      return effort === undefined ? {} : { reasoning_effort: effort };
    },
  }),

  xai: () => ({ maxStops: 4 }),

  /** A user's own LiteLLM proxy. */
  litellm_proxy: (model) => ({ cacheControl: model.includes("claude"), pdf: "data" }),
};

/** Providers recognized by their address, for deployments configured only as OpenAI-compatible. */
const BY_HOST: readonly [part: string, provider: string][] = [
  ["//api.deepseek.com", "deepseek"],
  ["//api.groq.com", "groq"],
  ["//openrouter.ai", "openrouter"],
  ["//api.moonshot.", "moonshot"],
  ["//api.mistral.ai", "mistral"],
  ["//api.x.ai", "xai"],
  ["//generativelanguage.googleapis.com", "gemini"],
];

/** The dialect of a deployment: its provider's differences on top of `GENERIC`. */
export function dialectOf(target: { provider: string; model: string; apiBase: string }): Dialect {
  const byHost = BY_HOST.find(([part]) => target.apiBase.includes(part))?.[1];
  const provider = byHost ?? target.provider;
  const generic = target.model.includes("gemini") ? { ...GENERIC, callExtras: true } : GENERIC;
  const differences = Object.hasOwn(PROVIDERS, provider) ? PROVIDERS[provider] : undefined;
  return differences === undefined ? generic : { ...GENERIC, ...differences(target.model) };
}

/** The o-series and everything from gpt-5 on: `max_completion_tokens`, no sampling parameters, no `stop`. */
const OPENAI_REASONING = /^(?:o\d|gpt-(?:[5-9]|\d\d)|codex)/;

function openaiDialect(model: string): Partial<Dialect> {
  const name = model.slice(model.lastIndexOf("/") + 1);
  const common = { pdf: "data", maxStops: 4 } as const;
  if (!OPENAI_REASONING.test(name) || name.includes("-chat")) return common;
  return {
    ...common,
    tokensField: "max_completion_tokens",
    sampling: false,
    maxStops: 0,
    parallelToolCalls: !/^o\d/.test(name),
    thinking: (wish) => {
      if (wish.mode === "off") return { reasoning_effort: openaiLeast(name) };
      const effort = effortOf(wish, /^gpt-5\.[2-9]|codex-max/.test(name) ? "xhigh" : "high");
      return effort === undefined ? {} : { reasoning_effort: effort };
    },
  };
}

/** The lowest effort that an OpenAI model accepts. */
function openaiLeast(name: string): string {
  if (/^gpt-5\.\d/.test(name) && !name.includes("codex")) return "none";
  if (/^gpt-5(?!.*codex)/.test(name)) return "minimal";
  return "low";
}

function groqThinking(model: string, wish: ThinkingWish): Record<string, unknown> {
  if (model.includes("gpt-oss")) {
    const effort = wish.mode === "off" ? "low" : effortOf(wish, "high");
    return effort === undefined ? {} : { reasoning_effort: effort };
  }
  return model.includes("qwen3") && wish.mode === "off" ? { reasoning_effort: "none" } : {};
}

function openrouterThinking(wish: ThinkingWish): Record<string, unknown> {
  if (wish.mode === "off") return { reasoning: { effort: "none" } };
  if (wish.effort !== undefined) return { reasoning: { effort: effortOf(wish, "xhigh") } };
  if (wish.budgetTokens !== undefined) return { reasoning: { max_tokens: wish.budgetTokens } };
  return { reasoning: { enabled: true } };
}

/** OpenAI's name for the effort; `most` replaces everything above "high". Undefined means the model's own default. */
function effortOf(wish: ThinkingWish, most: "high" | "xhigh"): string | undefined {
  switch (wish.effort) {
    case "low":
    case "medium":
    case "high":
      return wish.effort;
    case "xhigh":
    case "max":
      return most;
    case undefined:
      break;
    default:
      return undefined;
  }
  if (wish.budgetTokens === undefined) return undefined;
  if (wish.budgetTokens < 4096) return "low";
  return wish.budgetTokens < 16_384 ? "medium" : "high";
}
