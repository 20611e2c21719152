import type { Context } from "hono";
import { modelsOf } from "../models.ts";
import type { App } from "./context.ts";
import { ROUTES, ROUTE_NAMES } from "./routes.ts";
import { runnerHealthNow } from "./space.ts";
import { sandboxLevel } from "../sandbox/of-session.ts";

/** Version of the product. */
export const VERSION = "0.1.0";

/** `GET /`: what this is and how to begin. */
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

/** `GET /v1/sessions/{id}`: a route as people write it. */
function toShown(name: string): string {
  return name.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}");
}

/** `GET /health`. 200 as long as requests can be taken; what is weak about the place is said in it. */
export async function health(c: Context<App>): Promise<Response> {
  const runner = await runnerHealthNow(c.env);
  return c.json({
    status: "ok",
    version: VERSION,
    model: modelsOf(c.env).defaultModel,
    sandbox: {
      level: sandboxLevel(c.env),
      reachable: runner !== null,
      engines: runner?.engines.engines ?? 0,
      starting: runner?.engines.starting ?? 0,
      waiting: runner?.engines.waiting ?? 0,
      maxEngines: runner?.engines.max ?? 0,
      pool: runner?.pool ?? { size: 0, ready: 0, starting: 0 },
    },
    disk: { freeBytes: runner?.freeBytes ?? null },
  });
}
