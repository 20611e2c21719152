import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId } from "@gantry/protocol/ids.ts";
import type { Caller } from "@gantry/router/request/caller.ts";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { modelsOf } from "../../models/models.ts";
import type { App } from "../request/context.ts";
import { keyOf } from "../request/guard.ts";
import { toSessionStub } from "../../session/call/session-of.ts";

/**
 * A session's engine shows the token of its session instead of an API key. It opens the model doors only, and only
 * while its session's lease says so: an engine of a runner that was given up spends nothing.
 */
export const authenticateEngine = createMiddleware<App>(async (c, next) => {
  const token = keyOf(c.req.raw.headers);
  if (token?.startsWith("gst_")) {
    const sessionId = token.slice(4, token.indexOf("."));
    const allowed = isId("session", sessionId) ? await toSessionStub(c.env, sessionId).authorizeModelCall(token) : null;
    if (!allowed) throw new RequestRefused({ code: "unauthorized" });
    c.set("principal", { account: allowed.account, keyId: sessionId, scopes: ["models"] });
  }
  await next();
});

/** Who calls a model, as the router wants to know it. */
export function callerOf(c: Context<App>): Caller {
  const { account, keyId } = c.get("principal");
  const sessionId = keyId.startsWith("sesn_") ? keyId : null;
  const agentId = sessionId === null ? undefined : c.req.header("x-claude-code-agent-id")?.slice(0, 64);
  return { account, keyId: sessionId ? null : keyId, sessionId, agentId };
}

/** `POST /v1/messages`: the router, for engines and for anybody's own Anthropic client. */
export function messages(c: Context<App>): Promise<Response> {
  return modelsOf(c.env).messages(c.req.raw, callerOf(c));
}

/** `POST /v1/messages/count_tokens`. */
export function countTokens(c: Context<App>): Promise<Response> {
  return modelsOf(c.env).countTokens(c.req.raw, callerOf(c));
}

/** `POST /v1/chat/completions`: the same engine for clients that speak OpenAI's dialect. */
export function chatCompletions(c: Context<App>): Promise<Response> {
  return modelsOf(c.env).chatCompletions(c.req.raw, callerOf(c));
}
