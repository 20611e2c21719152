import type { Context } from "hono";
import { toIso } from "../../storage/catalog.ts";
import type { App } from "../request/context.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";

/** `GET /v1/sessions/{id}/sandbox`: the current state of a session's sandbox. This request never starts one. */
export async function retrieveSandbox(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const facts = await toSessionStub(c.env, id).sandbox(c.get("principal").account);
  if (!facts) throw unknownSession(id);
  return c.json({
    type: "sandbox",
    session_id: id,
    state: facts.state,
    since: toIso(facts.since),
    position: facts.position,
    sleeps_at: toIso(facts.sleepsAt),
  });
}
