import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId } from "@gantry/protocol/ids.ts";
import { objectOf } from "../../base/env.ts";
import type { Env, Stub } from "../../base/env.ts";
import type { SessionApi } from "./session-api.ts";

/** A session's object, seen from outside. */
export type SessionStub = Stub<SessionApi>;

/** The object of a session. The id must be well-formed: `toSessionStub` takes ids from outside. */
export function sessionOf(env: Env, sessionId: string): SessionStub {
  return objectOf<SessionApi>(env.SESSION, sessionId);
}

/** The object of a session id that a client sent. Refuses a malformed id with 404, as for an unknown session. */
export function toSessionStub(env: Env, sessionId: string): SessionStub {
  if (!isId("session", sessionId)) throw unknownSession(sessionId);
  return sessionOf(env, sessionId);
}

/** 404. The same for a session of another account. */
export function unknownSession(sessionId: string): RequestRefused {
  return new RequestRefused({ code: "not_found", what: `Session ${JSON.stringify(sessionId)}` });
}
