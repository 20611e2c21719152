/**
 * Model name → deployments, through the table that the configuration is compiled into.
 *
 * Order of lookup: the exact name, then wildcards from the most specific to the least. A wildcard must match the whole
 * name. A name that no route takes may still be an alias, a retired name, or a bare `claude-*` that means
 * `anthropic/claude-*`.
 */
import type { Deployment } from "./deployment.ts";
import { envName } from "./env-names.ts";
import { currentNameOf, pickDefaultModel } from "./model-names.ts";
import { anthropicBaseOf, conventionalKeyEnv, findProvider, type ProviderKey } from "./providers.ts";
import type { RouteEntry, RouteList } from "./route-entry.ts";

/** Environment variables by name. */
export type Env = Readonly<Record<string, string | undefined>>;

/** A route that takes a name, with the text its stars matched. */
export interface Match {
  /** `model_name` as configured. */
  readonly route: string;
  /** The name that was finally looked up, after aliases. */
  readonly model: string;
  readonly entries: readonly RouteEntry[];
  readonly captures: readonly string[];
}

/** The compiled routes. */
export interface RouteTable {
  /** The route that takes `model`, or undefined. */
  match(model: string): Match | undefined;
  /** Every `model_name`, in the order of the file, `demo/*` last. */
  readonly names: readonly string[];
}

/** Why a deployment cannot be called: its key or its upstream's address is missing. */
export type Unusable =
  | { readonly unusable: "key"; readonly provider: string; readonly env: readonly string[] }
  | { readonly unusable: "address"; readonly provider: string };

const NO_PARAMS = { extraHeaders: {}, extraBody: {}, defaults: {}, dropParams: [] };

/** The demonstration model is always available: a newcomer without a key starts with it. */
const DEMO_ROUTE: RouteEntry = {
  id: "demo/*#0",
  name: "demo/*",
  model: "demo/*",
  params: NO_PARAMS,
  order: Number.POSITIVE_INFINITY,
};

/** Aliases may point at aliases; this ends a circle of them. */
const MAX_ALIAS_STEPS = 8;

/** Compiles the routes, and adds `demo/*` when the configuration has no such route. */
export function compileRoutes(config: RouteList): RouteTable {
  const groups = new Map<string, RouteEntry[]>();
  for (const entry of config.routes) {
    const group = groups.get(entry.name);
    if (group === undefined) groups.set(entry.name, [entry]);
    else group.push(entry);
  }
  if (!groups.has(DEMO_ROUTE.name)) groups.set(DEMO_ROUTE.name, [DEMO_ROUTE]);
  const wildcards = [...groups.keys()].filter((name) => name.includes("*")).sort(bySpecificity);
  const patterns = wildcards.map((name) => ({ name, regex: toRegex(name) }));

  const lookUp = (model: string): Match | undefined => {
    const exact = groups.get(model);
    if (exact !== undefined && !model.includes("*")) return { route: model, model, entries: exact, captures: [] };
    for (const { name, regex } of patterns) {
      const caught = regex.exec(model);
      if (caught !== null) return { route: name, model, entries: groups.get(name) ?? [], captures: caught.slice(1) };
    }
    return undefined;
  };
  const match = (asked: string): Match | undefined => {
    let model = asked;
    for (let step = 0; step < MAX_ALIAS_STEPS && !groups.has(model); step++) {
      const target = config.aliases.get(model);
      if (target === undefined) break;
      model = target;
    }
    if (groups.has(model) && !model.includes("*")) return lookUp(model);
    const current = currentNameOf(model);
    return lookUp(current) ?? (current.startsWith("claude-") ? lookUp(`anthropic/${current}`) : undefined);
  };
  return { match, names: [...groups.keys()] };
}

/** Longest pattern first, then the one with fewer stars, then alphabetically. */
function bySpecificity(a: string, b: string): number {
  const stars = (text: string): number => text.split("*").length - 1;
  return b.length - a.length || stars(a) - stars(b) || (a < b ? -1 : 1);
}

function toRegex(pattern: string): RegExp {
  const source = pattern
    .split("*")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`))
    .join("(.+)");
  return new RegExp(`^${source}$`, "s");
}

/** Fills the stars of `template` in order. With more captures than stars it returns the caller's own name, as LiteLLM does. */
export function fillCaptures(template: string, match: Pick<Match, "captures" | "model">): string {
  const stars = template.split("*").length - 1;
  if (stars === 0) return template;
  if (match.captures.length > stars) return match.model;
  let next = 0;
  return template.replaceAll("*", () => match.captures[next++] ?? "");
}

/** Fills captures and environment into a route entry: a deployment to call, or the reason it cannot be called. */
export function toDeployment(entry: RouteEntry, match: Match, env: Env): Deployment | Unusable {
  const full = fillCaptures(entry.model, match);
  const { provider, model } = splitProvider(full, entry);
  const known = findProvider(provider);
  const apiFormat = entry.apiFormat ?? known?.apiFormat ?? "openai";
  const key = findKey(entry, provider, env);
  if ("missing" in key) return { unusable: "key", provider, env: key.missing };
  const given = resolve(entry.apiBase, env) ?? (known?.apiBaseEnv === undefined ? undefined : env[known.apiBaseEnv]);
  const usual = apiFormat === "anthropic" && known?.apiFormat === "openai" ? anthropicBaseOf(provider) : known?.apiBase;
  const apiBase = trimBase(given || usual || "", apiFormat);
  if (apiBase === "" && apiFormat !== "demo") return { unusable: "address", provider };
  const wild = entry.model.includes("*");
  return {
    id: wild ? `${entry.id}:${model}` : entry.id,
    route: match.route,
    provider,
    model,
    apiBase,
    ...(key.value === undefined ? {} : { apiKey: key.value }),
    auth: key.auth,
    apiFormat,
    params: entry.params,
  };
}

/**
 * `groq/openai/gpt-oss-120b` → groq and the rest. A name without a prefix belongs to `custom_llm_provider`; without that,
 * to Anthropic when it is a Claude model, otherwise to an OpenAI-compatible upstream.
 */
function splitProvider(full: string, entry: RouteEntry): { provider: string; model: string } {
  if (entry.provider !== undefined) {
    const prefix = `${entry.provider}/`;
    return { provider: entry.provider, model: full.startsWith(prefix) ? full.slice(prefix.length) : full };
  }
  const slash = full.indexOf("/");
  if (slash > 0) return { provider: full.slice(0, slash), model: full.slice(slash + 1) };
  return { provider: full.startsWith("claude-") ? "anthropic" : "openai", model: full };
}

type Key = { readonly value?: string; readonly auth: Deployment["auth"] };

function findKey(entry: RouteEntry, provider: string, env: Env): Key | { missing: string[] } {
  const known = findProvider(provider);
  const usualAuth = known?.keys[0]?.auth ?? (entry.apiFormat === "anthropic" ? "x-api-key" : "bearer");
  const named = envName(entry.apiKey);
  // Naming one of the provider's usual key variables allows all of them: an OAuth token can replace a missing API key.
  const own = named === undefined || known === undefined || known.keys.some((key) => key.env === named);
  if (entry.apiKey !== undefined && !(named !== undefined && own && known !== undefined)) {
    const value = resolve(entry.apiKey, env);
    return value ? { value, auth: authOf(value, usualAuth) } : { missing: [named ?? "api_key"] };
  }
  const candidates: readonly ProviderKey[] = known?.keys ?? [{ env: conventionalKeyEnv(provider), auth: usualAuth }];
  for (const candidate of candidates) {
    const value = env[candidate.env];
    if (value) return { value, auth: authOf(value, candidate.auth) };
  }
  const optional = known === undefined || candidates.length === 0;
  return optional ? { auth: "none" } : { missing: candidates.map((candidate) => candidate.env) };
}

/** Anthropic's OAuth tokens are recognized by their prefix, in any variable. */
function authOf(value: string, usual: Deployment["auth"]): Deployment["auth"] {
  return usual !== "bearer" && value.startsWith("sk-ant-oat") ? "oauth" : usual;
}

function resolve(value: string | undefined, env: Env): string | undefined {
  const name = envName(value);
  return name === undefined ? value : env[name];
}

/** Removes the last part of the path: people write the address with it or without it. */
function trimBase(base: string, format: Deployment["apiFormat"]): string {
  const bare = base.replace(/\/+$/, "");
  if (format === "anthropic") return bare.replace(/\/v1(?:\/messages)?$/, "");
  return bare.replace(/\/chat\/completions$/, "");
}

/** Tells the operator what to set, and where. */
export function unusableMessage(reason: Unusable, model: string): string {
  switch (reason.unusable) {
    case "key": {
      const names = reason.env.length === 1 ? reason.env[0] : `one of ${reason.env.join(", ")}`;
      const secret = reason.env[0] ?? "NAME";
      return `No key for provider "${reason.provider}", which model "${model}" needs: set ${names} in .env or the environment (on Cloudflare: wrangler secret put ${secret}).`;
    }
    case "address":
      return `No address for provider "${reason.provider}", which model "${model}" needs: give its route an api_base in litellm_config.yaml.`;
  }
}

/** Sorted names of the environment variables that this configuration reads. The launcher passes these to the Worker. */
export function referencedEnv(config: RouteList): string[] {
  const names = new Set([
    "MODEL",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
  ]);
  for (const entry of config.routes) {
    for (const name of [envName(entry.apiKey), envName(entry.apiBase)]) if (name !== undefined) names.add(name);
    if (entry.model.startsWith("*")) continue;
    const { provider } = splitProvider(entry.model, entry);
    const known = findProvider(provider);
    if (known?.apiBaseEnv !== undefined) names.add(known.apiBaseEnv);
    if (entry.apiKey !== undefined) continue;
    if (known === undefined) names.add(conventionalKeyEnv(provider));
    else for (const key of known.keys) names.add(key.env);
  }
  return [...names].sort();
}

/** The model for a request that names none. */
export function defaultModel(env: Env, config: RouteList): string {
  const table = compileRoutes(config);
  return pickDefaultModel(env, (model) => table.match(model) !== undefined);
}
