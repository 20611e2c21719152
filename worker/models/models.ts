import { waitUntil } from "cloudflare:workers";
import { parseRouterConfig } from "@gantry/router/config/config.ts";
import { effects } from "@gantry/router/base/effects.ts";
import { budgetWarning } from "@gantry/router/money/unpriced.ts";
import { createRouter } from "@gantry/router/router.ts";
import type { Router } from "@gantry/router/router.ts";
import { routerEnv } from "@gantry/router/routes/keys.ts";
import { compileRoutes } from "@gantry/router/routes/routes.ts";
import type { RouteTable } from "@gantry/router/routes/routes.ts";
import { newId } from "@gantry/protocol/ids.ts";
import bundledRoutes from "../../litellm_config.yaml";
import { count, countLater } from "../accounts/counting.ts";
import { limitOf, reserveFor } from "../accounts/ledger.ts";
import type { Env } from "../base/env.ts";
import { report, reportLater } from "../base/log.ts";
import { directFetch } from "../base/net.ts";

/** Kept for the life of the isolate, because the router remembers which upstreams are busy and which are cooling down. */
let current: { env: Env; router: Router; routes: RouteTable } | null = null;

/** The router of this deployment, built from its routes file. */
export function modelsOf(env: Env): Router {
  return load(env).router;
}

/** The context window, in tokens, that a route states for a model. Engines cannot know it for models of other providers. */
export function contextTokensOf(env: Env, model: string): { contextTokens?: number } {
  const tokens = load(env).routes.match(model)?.entries[0]?.contextTokens;
  return tokens === undefined ? {} : { contextTokens: tokens };
}

function load(env: Env): { router: Router; routes: RouteTable } {
  if (current?.env === env) return current;
  const { config, problems } = parseRouterConfig(env.LITELLM_CONFIG_TEXT ?? bundledRoutes);
  for (const problem of problems) report({ event: "routes_problem", ...problem });
  const limited = limitOf(env.GANTRY_ACCOUNT_BUDGET_USD) !== null || limitOf(env.GANTRY_SESSION_BUDGET_USD) !== null;
  // Settings and keys are bindings. The router gets those that its configuration names, and looks them up at each call.
  const names = routerEnv(config, env as unknown as Record<string, string | undefined>);
  const unpriced = limited ? budgetWarning(config, names) : undefined;
  if (unpriced !== undefined) report({ event: "routes_without_price", message: unpriced });
  const router = createRouter(config, {
    env: names,
    ...effects,
    fetch: directFetch(env),
    newId: (prefix) => `${prefix}_${newId("request").slice(4)}`,
    log: reportOfRouter,
    // Counting must not delay the answer. With a limit set it starts at once: the next call needs this call's cost.
    onUsage: (record) => (limited ? waitUntil(count([{ env, record }])) : countLater(env, record, waitUntil)),
    ...(limited ? { reserve: (estimate) => reserveFor(env, estimate) } : {}),
  });
  current = { env, router, routes: compileRoutes(config) };
  return current;
}

/** Logs for the router. Only the line of an exact model call may wait; all other lines are written at once. */
function reportOfRouter(entry: Record<string, unknown>): void {
  const line = { part: "router", ...entry };
  if (entry["event"] === "model_call" && entry["estimated"] === false) reportLater(line, waitUntil);
  else report(line);
}
