import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Env } from "../../base/env.ts";
import type { Actor } from "../../storage/audit.ts";
import { noteInIndex } from "./note-in-index.ts";
import { sessionOf, unknownSession } from "./session-of.ts";

/** A session by a name that the client chose, such as `demo-abc123`. */
export interface SessionName {
  /** The namespace of the name: the same name at two doors is two sessions. */
  readonly door: string;
  readonly name: string;
  /** Field of the request that holds the name, for refusals. */
  readonly field: string;
}

const NAME = /^[A-Za-z0-9._:-]{1,128}$/;

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * Id of an account's session of a name. It is created if it does not exist. The id follows from account, door and name, so
 * no table is needed and one account's `default` is never another's.
 */
export async function namedSession(env: Env, actor: Actor, { door, name, field }: SessionName): Promise<string> {
  if (!NAME.test(name)) {
    throw new RequestRefused({ code: "invalid_request", field, reason: "must be 1 to 128 letters, digits or . _ : -" });
  }
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-512", new TextEncoder().encode(`${actor.account}\0${door}\0${name}`)),
  );
  const id = `sesn_${Array.from(digest.subarray(0, 36), (byte) => ALPHABET.charAt(byte & 31)).join("")}`;
  if (await sessionOf(env, id).create(actor.account)) noteInIndex(env, id, actor);
  return id;
}

/** The session that a prompt goes to: by id, by name, or null for a new one. */
export type SessionTarget = string | SessionName | null;

/** The target that clients of the prompt doors name in `sessionId`: an id, or a name of their own. */
export function toTarget(sessionId: string): string | SessionName {
  return sessionId.startsWith("sesn_") ? sessionId : { door: "demo", name: sessionId, field: "sessionId" };
}

/** The same where the field is optional. Refuses what is neither an id nor a name with 404. */
export function toOptionalTarget(sessionId: string | undefined): SessionTarget {
  if (sessionId !== undefined && !NAME.test(sessionId)) throw unknownSession(sessionId);
  return sessionId === undefined ? null : toTarget(sessionId);
}
