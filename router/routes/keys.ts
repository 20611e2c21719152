/**
 * Which secret a route may send: the key that its entry names, or the usual key of the provider that the file names.
 *
 * Text from a caller never chooses a secret. When the caller's model name decides the provider (`model: "*"`), only a key
 * that the entry itself names is sent.
 */
import type { Deployment } from "./deployment.ts";
import { type Env, envName, isOwnSetting, resolveEnv } from "./env-names.ts";
import { anthropicBaseOf, conventionalKeyEnv, findProvider, type ProviderKey } from "./providers.ts";
import type { RouteEntry, RouteList } from "./route-entry.ts";

/** Read whatever the routes say: the default model, and the keys and address of Anthropic's own API. */
const ALWAYS_READ = [
  "MODEL",
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_API_KEY",
  "ANTHROPIC_AUTH_TOKEN",
  "CLAUDE_CODE_OAUTH_TOKEN",
];

/** A key and how it is sent. */
export type Key = { readonly value?: string; readonly auth: Deployment["auth"] };

/**
 * `groq/openai/gpt-oss-120b` → groq and the rest. A name without a prefix belongs to `custom_llm_provider`; without that,
 * to Anthropic when it is a Claude model, otherwise to an OpenAI-compatible upstream.
 */
export function splitProvider(full: string, own: string | undefined): { provider: string; model: string } {
  if (own !== undefined) {
    const prefix = `${own}/`;
    return { provider: own, model: full.startsWith(prefix) ? full.slice(prefix.length) : full };
  }
  const slash = full.indexOf("/");
  if (slash > 0) return { provider: full.slice(0, slash), model: full.slice(slash + 1) };
  return { provider: full.startsWith("claude-") ? "anthropic" : "openai", model: full };
}

/** The provider that the entry itself names; undefined when the caller's model name decides it. */
export function writtenProvider({ model, provider }: Pick<RouteEntry, "model" | "provider">): string | undefined {
  if (provider === undefined && model.startsWith("*")) return undefined;
  const written = splitProvider(model, provider).provider;
  return written.includes("*") ? undefined : written;
}

/** Whether `address` is somewhere else than the provider's API, so that the provider's key has no business there. */
export function isOwnAddress(provider: string, address: string | undefined): boolean {
  if (address === undefined || address === "") return false;
  const usual = [findProvider(provider)?.apiBase, anthropicBaseOf(provider)];
  return !usual.some((base) => base !== undefined && originOf(base) === originOf(address));
}

function originOf(address: string): string {
  return URL.canParse(address) ? new URL(address).origin : address;
}

/** The key to send for `entry`, or the names of the variables that may hold it and are not set. */
export function findKey(entry: RouteEntry, provider: string, env: Env): Key | { missing: readonly string[] } {
  const known = findProvider(provider);
  const usualAuth = known?.keys[0]?.auth ?? (entry.apiFormat === "anthropic" ? "x-api-key" : "bearer");
  const named = envName(entry.apiKey);
  const usual = usualKeys(entry, provider, env, usualAuth);
  // Naming one of the provider's usual key variables allows all of them: an OAuth token can replace a missing API key.
  const allowsUsual =
    entry.apiKey === undefined || (known !== undefined && usual.some((candidate) => candidate.env === named));
  if (!allowsUsual) {
    const value = resolveEnv(entry.apiKey, env);
    return value ? { value, auth: authOf(value, usualAuth) } : { missing: [named ?? "api_key"] };
  }
  for (const candidate of usual) {
    const value = env[candidate.env];
    if (value) return { value, auth: authOf(value, candidate.auth) };
  }
  const optional = known === undefined || usual.length === 0;
  return optional ? { auth: "none" } : { missing: usual.map((candidate) => candidate.env) };
}

/** The provider's usual key variables, as far as this entry may use them. */
function usualKeys(entry: RouteEntry, provider: string, env: Env, auth: Deployment["auth"]): readonly ProviderKey[] {
  if (writtenProvider(entry) !== provider) return [];
  const known = findProvider(provider);
  if (known === undefined) return [{ env: conventionalKeyEnv(provider), auth }];
  const named = envName(entry.apiBase);
  const isUsual = named !== undefined && named === known.apiBaseEnv;
  const isElsewhere = !isUsual && isOwnAddress(provider, resolveEnv(entry.apiBase, env));
  return isElsewhere && entry.apiKey === undefined ? [] : known.keys;
}

/** Anthropic's OAuth tokens are recognized by their prefix, in any variable. */
function authOf(value: string, usual: Deployment["auth"]): Deployment["auth"] {
  return usual !== "bearer" && value.startsWith("sk-ant-oat") ? "oauth" : usual;
}

/** Sorted names of the environment variables that this configuration reads. The launcher passes these to the Worker. */
export function referencedEnv(config: RouteList): string[] {
  const names = new Set(ALWAYS_READ);
  for (const entry of config.routes) {
    const named = envName(entry.apiKey);
    for (const name of [named, envName(entry.apiBase)]) if (name !== undefined) names.add(name);
    const provider = writtenProvider(entry);
    if (provider === undefined) continue;
    const known = findProvider(provider);
    if (known?.apiBaseEnv !== undefined) names.add(known.apiBaseEnv);
    if (known === undefined) {
      if (entry.apiKey === undefined) names.add(conventionalKeyEnv(provider));
    } else if (entry.apiKey === undefined || known.keys.some((key) => key.env === named)) {
      for (const key of known.keys) names.add(key.env);
    }
  }
  return [...names].filter((name) => !isOwnSetting(name)).sort();
}

/**
 * The part of `env` that this configuration reads. The router sees nothing else, so no route can send a secret that
 * belongs to another part of the product. Values are read at each access, never kept.
 */
export function routerEnv(config: RouteList, env: Env): Env {
  const names = new Set(referencedEnv(config));
  return new Proxy<Record<string, string | undefined>>(
    {},
    {
      get(_, name) {
        const value: unknown = typeof name === "string" && names.has(name) ? env[name] : undefined;
        // In a Worker, the environment holds databases and namespaces beside texts.
        return typeof value === "string" ? value : undefined;
      },
    },
  );
}
