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
 * Authenticates a session's engine by the session's token, which replaces an API key. The token opens only the model
 * doors, and only while the session's lease holds: an engine of a replaced runner can spend nothing.
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

/** The caller of a model, in the router's terms. */
export function callerOf(c: Context<App>): Caller {
  const { account, keyId } = c.get("principal");
  const sessionId = keyId.startsWith("sesn_") ? keyId : null;
  const agentId = sessionId === null ? undefined : c.req.header("x-claude-code-agent-id")?.slice(0, 64);
  return { account, keyId: sessionId ? null : keyId, sessionId, agentId };
}

/** `POST /v1/messages`: the model router, for engines and for any Anthropic client. */
export function messages(c: Context<App>): Promise<Response> {
  return modelsOf(c.env).messages(c.req.raw, callerOf(c));
}

/** `POST /v1/messages/count_tokens`. */
export function countTokens(c: Context<App>): Promise<Response> {
  return modelsOf(c.env).countTokens(c.req.raw, callerOf(c));
}

/** `POST /v1/chat/completions`: the model router for OpenAI clients. */
export function chatCompletions(c: Context<App>): Promise<Response> {
  return modelsOf(c.env).chatCompletions(c.req.raw, callerOf(c));
}
