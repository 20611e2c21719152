/**
 * Where providers of the OpenAI dialect differ. A provider nobody listed gets `GENERIC`: what the most servers accept.
 *
 * Every row is a claim about somebody's API; where one is wrong, `additional_drop_params` and `extra_body` of the
 * deployment correct it without a release, and `relax.ts` retreats from parameters that a server names as unknown.
 */

/** What the caller asked of thinking, before a provider's words for it are found. */
export interface ThinkingWish {
  /** `auto`: the model decides (Anthropic's `adaptive`). */
  readonly mode: "off" | "on" | "auto";
  readonly effort?: string | undefined;
  readonly budgetTokens?: number | undefined;
}

export interface Dialect {
  readonly tokensField: "max_tokens" | "max_completion_tokens";
  /** Most output tokens that may be asked for, where the provider said so. */
  readonly mostTokens: number;
  /** Takes `temperature` and `top_p`; reasoning models of OpenAI answer 400. */
  readonly sampling: boolean;
  readonly topK: boolean;
  /** Most `stop` strings taken; 0: the parameter is refused. */
  readonly maxStops: number;
  readonly parallelToolCalls: boolean;
  /** Sends usage in a stream when asked by `stream_options`; false: sends it unasked and refuses the field. */
  readonly streamOptions: boolean;
  /** Passes `cache_control` on to a model that knows it. */
  readonly cacheControl: boolean;
  /** PDFs as `file` parts: not at all, from data, or also from an address. */
  readonly pdf: "none" | "data" | "data-and-url";
  /** Takes `image_url` parts; false: a note stands in their place. */
  readonly images: boolean;
  /** Structured output: by schema, by schema unless there are tools or a stream, as any JSON object, or by asking. */
  readonly structured: "schema" | "schema-alone" | "object" | "prompt";
  /** Where the model's earlier reasoning goes back; null: nowhere, unknown fields are refused. */
  readonly reasoningBack: "reasoning" | "reasoning_content" | "reasoning_details" | null;
  /** Refuses an assistant message with tool calls that lacks the reasoning field, even an empty one. */
  readonly reasoningRequired: boolean;
  /** Longest tool call id taken, and whether it may hold anything but letters and digits. */
  readonly callIds: { readonly maxLength: number; readonly alphanumeric: boolean };
  /** A tool call goes back with the `extra_content` it came with; false: unknown fields are refused. */
  readonly callExtras: boolean;
  /** Stands in for an `extra_content` that is not there, where the provider insists on one. */
  readonly callExtraDefault?: Record<string, unknown>;
  /** Fields every request to this model gets. */
  readonly always: Record<string, unknown>;
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
    // Groq answers 400 to fields it does not know, and knows `reasoning` for these models only.
    reasoningBack: model.includes("gpt-oss") ? "reasoning" : null,
    // Without `parsed` the thinking stands in the text between <think> tags.
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
    // Gemini 3 refuses calls without its signature; this one it takes for calls that another model wrote.
    callExtraDefault: { google: { thought_signature: "skip_thought_signature_validator" } },
    thinking: (wish) => {
      const effort = wish.mode === "off" ? (/2\.\d-flash/.test(model) ? "none" : "low") : effortOf(wish, "high");
      return effort === undefined ? {} : { reasoning_effort: effort };
    },
  }),

  xai: () => ({ maxStops: 4 }),

  /** Somebody's own LiteLLM proxy, spoken to in OpenAI's dialect. */
  litellm_proxy: (model) => ({ cacheControl: model.includes("claude"), pdf: "data" }),
};

/** Providers that people reach as "some OpenAI-compatible address", known by it. */
const BY_HOST: readonly [part: string, provider: string][] = [
  ["//api.deepseek.com", "deepseek"],
  ["//api.groq.com", "groq"],
  ["//openrouter.ai", "openrouter"],
  ["//api.moonshot.", "moonshot"],
  ["//api.mistral.ai", "mistral"],
  ["//api.x.ai", "xai"],
  ["//generativelanguage.googleapis.com", "gemini"],
];

export function dialectOf(target: { provider: string; model: string; apiBase: string }): Dialect {
  const byHost = BY_HOST.find(([part]) => target.apiBase.includes(part))?.[1];
  const provider = byHost ?? target.provider;
  const generic = target.model.includes("gemini") ? { ...GENERIC, callExtras: true } : GENERIC;
  const differences = Object.hasOwn(PROVIDERS, provider) ? PROVIDERS[provider] : undefined;
  return differences === undefined ? generic : { ...GENERIC, ...differences(target.model) };
}

/** The o-series and gpt-5 on: `max_completion_tokens`, no sampling parameters, no `stop`. */
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

/** The least thinking a model of OpenAI can be asked for. */
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

/** OpenAI's word for the wish; `most` stands for everything above "high". Undefined: the model's own default. */
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
