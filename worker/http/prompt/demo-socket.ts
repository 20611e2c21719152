import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { namedSession, toTarget } from "../../session/call/named-session.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";
import { toSocketRequest } from "../../session/sockets/sockets.ts";
import type { App } from "../request/context.ts";
import { actorOf } from "../request/query.ts";

/**
 * `GET /demo/ws/{sessionId}`: a WebSocket on a session with a name that the client chooses. `?after=SEQ` continues after
 * an event.
 */
export async function demoSocket(c: Context<App>): Promise<Response> {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new RequestRefused({ code: "invalid_request", field: "upgrade", reason: "this endpoint is a WebSocket" });
  }
  const { account, keyId, endsAt: keyEndsAt = null } = c.get("principal");
  const target = toTarget(c.req.param("sessionId") ?? "");
  const sessionId = typeof target === "string" ? target : await namedSession(c.env, actorOf(c), target);
  const stub = toSessionStub(c.env, sessionId);
  if (!(await stub.exists(account))) throw unknownSession(sessionId);
  const after = Math.max(0, Math.trunc(Number(c.req.query("after"))) || 0);
  return stub.fetch(
    toSocketRequest(c.req.raw, {
      account,
      keyId,
      keyEndsAt,
      view: "demo",
      previews: false,
      confirms: false,
      cursor: String(after),
    }),
  );
}
