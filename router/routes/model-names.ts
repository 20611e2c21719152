/** Names of models that the product itself knows: the defaults, and old names that still reach us. */
import { findProvider } from "./providers.ts";

/** The Claude model that stands in wherever "Claude" is asked for without a living name. The one place to change it. */
export const CURRENT_CLAUDE = "anthropic/claude-sonnet-5";

/** The model that needs no key. */
export const DEMO_MODEL = "demo/scripted";

/** Retired names that older clients and examples send by default. */
const RETIRED_CLAUDE = /^(?:anthropic\/)?claude-3(?:[-.][57])?-sonnet(?:-(?:\d{8}|latest))?$/;

/** The living name behind an old one, or the name itself. */
export function currentNameOf(model: string): string {
  return RETIRED_CLAUDE.test(model) ? CURRENT_CLAUDE : model;
}

/** Which model answers when nobody named one: the first provider that has a key. */
const DEFAULTS_BY_PROVIDER: readonly (readonly [provider: string, model: string])[] = [
  ["anthropic", CURRENT_CLAUDE],
  ["openrouter", "openrouter/qwen/qwen3-coder"],
  ["groq", "groq/openai/gpt-oss-120b"],
  ["openai", "openai/gpt-5"],
];

/**
 * The model for a request that names none: `MODEL`, else by the first provider with a key whose name a route takes,
 * else the demonstration model. `knows` is the route table's.
 */
export function pickDefaultModel(
  env: Readonly<Record<string, string | undefined>>,
  knows: (model: string) => boolean,
): string {
  if (env["MODEL"]) return env["MODEL"];
  for (const [provider, model] of DEFAULTS_BY_PROVIDER) {
    const hasKey = findProvider(provider)?.keys.some((key) => Boolean(env[key.env])) ?? false;
    if (hasKey && knows(model)) return model;
  }
  return DEMO_MODEL;
}
