import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId } from "@gantry/protocol/ids.ts";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { answerSandbox } from "./for-sandbox.ts";
import type { App } from "../request/context.ts";
import { SANDBOX_SCOPE, keyOf } from "../request/guard.ts";
import { toSessionStub } from "../../session/call/session-of.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** Authenticates `/sandbox/*` on one machine by the session's token, which also opens the model doors. API keys are refused. */
export const authenticateSandbox = createMiddleware<App>(async (c, next) => {
  const token = keyOf(c.req.raw.headers) ?? "";
  const sessionId = token.startsWith("gst_") ? token.slice(4, token.indexOf(".")) : "";
  const allowed = isId("session", sessionId) ? await toSessionStub(c.env, sessionId).authorizeModelCall(token) : null;
  if (!allowed) throw new RequestRefused({ code: "unauthorized" });
  c.set("principal", { account: allowed.account, keyId: sessionId, scopes: [SANDBOX_SCOPE] });
  await next();
});

/** `/sandbox/*` on one machine: see `answerSandbox`. */
export async function fromSandbox(c: Context<App>): Promise<Response> {
  const { account, keyId: sessionId } = c.get("principal");
  if (c.req.method === "POST") await checkSpace(c.env);
  return answerSandbox(c.env, { account, sessionId, requestId: c.get("requestId") }, c.req.raw);
}
