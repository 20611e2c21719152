/** Model names that the product itself knows: the defaults, and retired names that clients still send. */
import { findProvider } from "./providers.ts";

/** The Claude model used when a request means Claude but names no current model. Change it here and nowhere else. */
export const CURRENT_CLAUDE = "anthropic/claude-sonnet-5";

/** The longest name of a model that a request may write, in characters. It ends up in log lines, records and messages. */
export const MAX_MODEL_NAME = 256;

/** The model that needs no key. */
export const DEMO_MODEL = "demo/scripted";

/** Retired names that older clients and examples send by default. */
const RETIRED_CLAUDE = /^(?:anthropic\/)?claude-3(?:[-.][57])?-sonnet(?:-(?:\d{8}|latest))?$/;

/** The current name for a retired one, or the name itself. */
export function currentNameOf(model: string): string {
  return RETIRED_CLAUDE.test(model) ? CURRENT_CLAUDE : model;
}

/** Default model by provider; the first provider with a key wins. */
const DEFAULTS_BY_PROVIDER: readonly (readonly [provider: string, model: string])[] = [
  ["anthropic", CURRENT_CLAUDE],
  ["openrouter", "openrouter/qwen/qwen3-coder"],
  ["groq", "groq/openai/gpt-oss-120b"],
  ["openai", "openai/gpt-5"],
];

/**
 * The model for a request that names none: `MODEL` if it is set, otherwise the default of the first provider that has a
 * key and a route, otherwise the demonstration model. `knows` tells whether a route takes a name.
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
