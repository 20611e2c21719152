import { WorkerEntrypoint } from "cloudflare:workers";
import { newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../../base/env.ts";
import { errorResponse } from "../../base/errors.ts";
import { modelsOf } from "../../models/models.ts";
import { answerSandbox } from "./for-sandbox.ts";
import { sessionOf } from "../../session/call/session-of.ts";
import { MODELS_HOST } from "../../sandbox/container.ts";
import { mayLeave } from "../../sandbox/egress-rules.ts";
import type { EgressProps } from "../../sandbox/egress-rules.ts";

/**
 * The only way out of a container: all its HTTP and HTTPS requests arrive here. The router answers model calls on behalf
 * of the session, so the container needs no key and no token. Other requests leave if the environment allows their host;
 * otherwise they are refused and the session's log records them.
 */
export class Egress extends WorkerEntrypoint<Env, EgressProps> {
  override async fetch(request: Request): Promise<Response> {
    const { sessionId, startId, rules } = this.ctx.props;
    const url = new URL(request.url);
    const session = sessionOf(this.env, sessionId);
    if (url.hostname === MODELS_HOST) {
      const caller = await session.callerOfStart(startId);
      if (caller === null) return Response.json(refusal("this sandbox has been replaced"), { status: 401 });
      const router = modelsOf(this.env);
      const who = { account: caller.account, keyId: null, sessionId };
      if (request.method === "POST" && url.pathname === "/v1/messages") return router.messages(request, who);
      if (request.method === "POST" && url.pathname === "/v1/messages/count_tokens")
        return router.countTokens(request, who);
      if (url.pathname.startsWith("/sandbox/")) {
        const requestId = newId("request");
        const from = { account: caller.account, sessionId, requestId };
        return answerSandbox(this.env, from, request).catch((error: unknown) =>
          errorResponse(error, url.pathname, requestId),
        );
      }
      return Response.json(refusal(`there is no ${request.method} ${url.pathname} here`), { status: 404 });
    }
    if (!mayLeave(rules, url)) {
      await session.noteBlocked(startId, { host: url.host, method: request.method });
      return Response.json(refusal(`the environment of this session does not allow ${url.host}`), { status: 403 });
    }
    return fetch(request, { redirect: "manual" });
  }
}

function refusal(message: string): object {
  return { type: "error", error: { type: "permission_error", message: `Gantry: ${message}.` } };
}
