/** Defaults for each provider prefix: address, key variable and API. The configuration may override them. */
import type { ApiFormat, Deployment } from "./deployment.ts";

/** An environment variable that may hold a provider's key. */
export interface ProviderKey {
  /** Name of the environment variable. */
  readonly env: string;
  readonly auth: Deployment["auth"];
}

/** Defaults of one provider. */
export interface Provider {
  readonly apiFormat: ApiFormat;
  /** When it is undefined, the configuration must give `api_base`. */
  readonly apiBase?: string;
  /** Environment variable that overrides `apiBase`. */
  readonly apiBaseEnv?: string;
  /** Environment variables that may hold the key, preferred first. Empty when the provider needs no key. */
  readonly keys: readonly ProviderKey[];
}

/** Address of Anthropic's own API. */
export const ANTHROPIC_BASE = "https://api.anthropic.com";

function openai(apiBase: string, ...env: string[]): Provider {
  return { apiFormat: "openai", apiBase, keys: env.map((name) => ({ env: name, auth: "bearer" })) };
}

const PROVIDERS: Readonly<Record<string, Provider>> = {
  anthropic: {
    apiFormat: "anthropic",
    apiBase: ANTHROPIC_BASE,
    apiBaseEnv: "ANTHROPIC_BASE_URL",
    keys: [
      { env: "ANTHROPIC_API_KEY", auth: "x-api-key" },
      { env: "ANTHROPIC_AUTH_TOKEN", auth: "bearer" },
      { env: "CLAUDE_CODE_OAUTH_TOKEN", auth: "oauth" },
    ],
  },
  openrouter: openai("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
  groq: openai("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
  openai: { ...openai("https://api.openai.com/v1", "OPENAI_API_KEY"), apiBaseEnv: "OPENAI_BASE_URL" },
  deepseek: openai("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
  mistral: openai("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
  xai: openai("https://api.x.ai/v1", "XAI_API_KEY"),
  cerebras: openai("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
  together_ai: openai("https://api.together.xyz/v1", "TOGETHERAI_API_KEY", "TOGETHER_API_KEY"),
  fireworks_ai: openai("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
  moonshot: openai("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
  gemini: openai("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
  ollama: openai("http://localhost:11434/v1"),
  lm_studio: openai("http://localhost:1234/v1"),
  hosted_vllm: { apiFormat: "openai", keys: [] },
  demo: { apiFormat: "demo", apiBase: "", keys: [] },
};

/** Addresses for `api_format: anthropic` without `api_base`, for providers whose default address speaks OpenAI's format. */
const ANTHROPIC_BASES: Readonly<Record<string, string>> = {
  openrouter: "https://openrouter.ai/api",
  deepseek: "https://api.deepseek.com/anthropic",
  moonshot: "https://api.moonshot.ai/anthropic",
};

/** The provider with this prefix, or undefined for a prefix the user made up, which then needs an `api_base`. */
export function findProvider(name: string): Provider | undefined {
  return Object.hasOwn(PROVIDERS, name) ? PROVIDERS[name] : undefined;
}

/** The provider's Anthropic-format address, where it has one beside its OpenAI-format one. */
export function anthropicBaseOf(name: string): string | undefined {
  return Object.hasOwn(ANTHROPIC_BASES, name) ? ANTHROPIC_BASES[name] : undefined;
}

/** Key variable of an unknown provider: `my-gateway` → `MY_GATEWAY_API_KEY`. Such a key is optional. */
export function conventionalKeyEnv(name: string): string {
  return `${name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}_API_KEY`;
}
