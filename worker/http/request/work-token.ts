import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { workOfToken } from "../../self-hosted/work.ts";
import type { App } from "./context.ts";
import { WORK_TOKEN_SCOPE, keyOf } from "./guard.ts";

/** Routes that a work item's token opens: those of the item itself and, until the item is over, those of its session. */
const OF_ITEM = ["GET ", "POST /ack", "POST /heartbeat", "POST /stop"];
const OF_SESSION = ["GET ", "GET /events", "POST /events", "GET /events/stream"];

/**
 * Authenticates a worker by the token of its work item, which is valid while the worker holds the lease. Requests with
 * other credentials pass through unchanged.
 */
export const authenticateWork = createMiddleware<App>(async (c, next) => {
  const token = keyOf(c.req.raw.headers);
  if (token?.startsWith("gwt_")) {
    const work = await workOfToken(c.env, token);
    if (!work) throw new RequestRefused({ code: "unauthorized" });
    const item = OF_ITEM.map((each) => each.replace(" ", ` /v1/environments/${work.environmentId}/work/${work.id}`));
    const session = OF_SESSION.map((each) => each.replace(" ", ` /v1/sessions/${work.session}`));
    const open = work.over ? item : [...item, ...session];
    if (!open.includes(`${c.req.method} ${c.req.path}`))
      throw new RequestRefused({ code: "forbidden_scope", needs: ["admin"] });
    c.set("principal", { account: work.account, keyId: work.id, scopes: [WORK_TOKEN_SCOPE] });
  }
  await next();
});

/** Whether the request comes from a worker with the token of its work item. */
export function isWorker(c: Context<App>): boolean {
  return c.get("principal").scopes.includes(WORK_TOKEN_SCOPE);
}
