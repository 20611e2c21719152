/**
 * Model name → deployments, through the table that the configuration is compiled into.
 *
 * Order of lookup: the exact name, then wildcards from the most specific to the least. A wildcard must match the whole
 * name. A name that no route takes may still be an alias, a retired name, or a bare `claude-*` that means
 * `anthropic/claude-*`.
 */
import type { Deployment } from "./deployment.ts";
import { type Env, resolveEnv } from "./env-names.ts";
import { findKey, routerEnv, splitProvider, writtenProvider } from "./keys.ts";
import { currentNameOf, MAX_MODEL_NAME, pickDefaultModel } from "./model-names.ts";
import { anthropicBaseOf, findProvider } from "./providers.ts";
import type { RouteEntry, RouteList } from "./route-entry.ts";

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

/**
 * Why a deployment cannot be called: its key or its upstream's address is missing, or only the caller's model name says
 * which provider to ask.
 */
export type Unusable =
  | { readonly unusable: "key"; readonly provider: string; readonly env: readonly string[] }
  | { readonly unusable: "address"; readonly provider: string }
  | { readonly unusable: "provider"; readonly provider: string };

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
    if (asked.length > MAX_MODEL_NAME) return undefined;
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
  const { provider, model } = splitProvider(full, entry.provider);
  const known = findProvider(provider);
  const apiFormat = entry.apiFormat ?? known?.apiFormat ?? "openai";
  const own = resolveEnv(entry.apiBase, env);
  if (!own && writtenProvider(entry) !== provider) return { unusable: "provider", provider };
  const key = findKey(entry, provider, env);
  if ("missing" in key) return { unusable: "key", provider, env: key.missing };
  const given = own ?? (known?.apiBaseEnv === undefined ? undefined : env[known.apiBaseEnv]);
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
    case "provider":
      return `Only the name "${model}" says that provider "${reason.provider}" is meant, and a caller's text chooses neither keys nor addresses: give the provider a route of its own in litellm_config.yaml ("${reason.provider}/*"), or give this route an api_base.`;
  }
}

/** The model for a request that names none. */
export function defaultModel(env: Env, config: RouteList): string {
  const table = compileRoutes(config);
  return pickDefaultModel(routerEnv(config, env), (model) => table.match(model) !== undefined);
}
