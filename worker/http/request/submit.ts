import { waitUntil } from "cloudflare:workers";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId } from "@gantry/protocol/ids.ts";
import type { Context } from "hono";
import type { Env } from "../../base/env.ts";
import { MAX_QUEUED } from "../../session/store/run-queue.ts";
import type { Session } from "../../session/session.ts";
import type { Submission } from "../../session/store/facts.ts";
import { report } from "../../base/log.ts";
import { newSessionId } from "../../sandbox/spares.ts";
import { indexSession } from "../../storage/session-index.ts";
import type { Actor } from "../../storage/audit.ts";
import type { App } from "./context.ts";
import { actorOf } from "./query.ts";
import { idFor } from "./idempotency.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** The object of a session id; an id of the wrong form is nobody's. */
export function sessionStub(env: Env, sessionId: string): DurableObjectStub<Session> {
  if (!isId("session", sessionId))
    throw new RequestRefused({ code: "not_found", what: `Session ${JSON.stringify(sessionId)}` });
  return env.SESSION.get(env.SESSION.idFromName(sessionId));
}

/** Refuses with 404. The same for a session of another account. */
export function unknownSession(sessionId: string): RequestRefused {
  return new RequestRefused({ code: "not_found", what: `Session ${JSON.stringify(sessionId)}` });
}

/** An accepted run and where its events begin. */
export interface Accepted {
  readonly sessionId: string;
  readonly runId: string;
  readonly after: number;
  /** Id of the prompt's `user.message`. */
  readonly eventId: string;
  readonly stub: DurableObjectStub<Session>;
}

/** Notes a new session for lists, beside the prompt's way. */
export function index(env: Env, id: string, actor: Actor): void {
  waitUntil(
    indexSession(env, { id, account: actor.account, createdAt: Date.now(), agentId: null }, actor).catch(
      (error: unknown) => report({ event: "index_not_told", sessionId: id, error: String(error) }),
    ),
  );
}

/**
 * Id of a new session. A request that may come again must find the session that it made, so it cannot take one of those
 * whose engines have been started before anybody asked.
 */
export function sessionIdFor(c: Context<App>, options: Parameters<typeof newSessionId>[1]): Promise<string> {
  return c.get("origin") === undefined ? newSessionId(c.env, options) : idFor(c, "session");
}

/**
 * Hands the prompt of a request to a session, making one where none is named. When it returns, the prompt is durable.
 * A request that is repeated under its idempotency key finds the run that it made. `place` tells prompts of one request
 * apart.
 */
export async function submit(
  c: Context<App>,
  sessionId: string | undefined,
  submission: Omit<Submission, "runId">,
  place = 0,
): Promise<Accepted> {
  const { env } = c;
  const { account } = c.get("principal");
  await checkSpace(env);
  const id = sessionId ?? (await sessionIdFor(c, submission.options));
  const stub = sessionStub(env, id);
  if (sessionId === undefined) {
    await stub.create(account);
    index(env, id, actorOf(c));
  }
  const runId = c.get("origin") === undefined ? {} : { runId: await idFor(c, "run", place) };
  const submitted = await stub.submit(account, { ...submission, ...runId });
  if (submitted.ok) c.set("begun", true);
  if (submitted.ok && submitted.repeated) c.set("repeated", true);
  if (submitted.ok)
    return { sessionId: id, runId: submitted.runId, after: submitted.after, eventId: submitted.eventId, stub };
  if (submitted.error === "archived")
    throw new RequestRefused({ code: "conflict", reason: "The session is archived." });
  if (submitted.error === "queue_full") throw new RequestRefused({ code: "queue_full", max: MAX_QUEUED });
  throw unknownSession(id);
}
