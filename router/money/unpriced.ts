/** Which routes cannot be counted against a budget: the operator learns it at the start, not from refused calls. */
import type { Env } from "../routes/env-names.ts";
import type { RouteList } from "../routes/route-entry.ts";
import { toDeployment } from "../routes/routes.ts";
import { priceOf } from "./prices.ts";

/**
 * Names of routes that are usable and have no known price, each once, in the order of the file. A route with `*` is named
 * unless the file gives it a price: some of its models may be in the price list, but nobody knows which will be asked for.
 */
export function routesWithoutPrice(config: RouteList, env: Env): string[] {
  const unpriced = config.routes.filter((entry) => {
    const match = { route: entry.name, model: entry.name, entries: [entry], captures: ["*", "*", "*", "*"] };
    const deployment = toDeployment(entry, match, env);
    return !("unusable" in deployment) && priceOf(deployment.provider, deployment.model, entry.price) === null;
  });
  return [...new Set(unpriced.map(({ name }) => name))];
}

/** What to tell the operator of routes that a budget makes unusable; undefined when every route can be counted. */
export function budgetWarning(config: RouteList, env: Env): string | undefined {
  const names = routesWithoutPrice(config, env);
  if (names.length === 0) return undefined;
  return `A budget is set, and calls whose price is not known are refused (402): ${names.join(", ")}. Give these routes input_cost_per_token and output_cost_per_token; a route with * takes those models that Gantry's price list knows.`;
}
