import manifest from "@gantry/worker/package.json" with { type: "json" };
import type { Context } from "hono";
import type { App } from "../request/context.ts";
import { ROUTES, ROUTE_NAMES } from "../routes/routes.ts";

/** Version of the product. */
export const VERSION = manifest.version;

/** `GET /`: an overview with a first request to try. */
export function root(c: Context<App>): Response {
  const origin = new URL(c.req.url).origin;
  const sample = `curl -N -H "Authorization: Bearer KEY" -d '{"prompt":"What is 7 * 6?"}' ${origin}/claude-code`;
  return c.json({
    name: "Gantry",
    version: VERSION,
    description: "Real Claude Code as a service, with any model.",
    try: sample,
    routes: Object.fromEntries(ROUTE_NAMES.map((name) => [toShown(name), ROUTES[name].summary])),
  });
}

/** A route as shown to people: `GET /v1/sessions/{id}`. */
function toShown(name: string): string {
  return name.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}");
}
