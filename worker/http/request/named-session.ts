import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Actor } from "../../storage/audit.ts";
import type { Env } from "../../base/env.ts";
import type { Context } from "hono";
import type { App } from "./context.ts";
import { actorOf } from "./query.ts";
import { index, unknownSession } from "./submit.ts";

/** Names that clients of the seeds choose: `demo-abc123`, `default`. */
const NAME = /^[A-Za-z0-9._:-]{1,128}$/;

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * The session that an account calls by a name of its own. The id follows from account, door and name, so no table is
 * needed and one account's `default` is never another's. Made when it is not there yet.
 */
export async function namedSession(env: Env, actor: Actor, door: string, name: string, field: string): Promise<string> {
  if (!NAME.test(name)) {
    throw new RequestRefused({ code: "invalid_request", field, reason: "must be 1 to 128 letters, digits or . _ : -" });
  }
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-512", new TextEncoder().encode(`${actor.account}\0${door}\0${name}`)),
  );
  const id = `sesn_${Array.from(digest.subarray(0, 36), (byte) => ALPHABET.charAt(byte & 31)).join("")}`;
  if (await env.SESSION.get(env.SESSION.idFromName(id)).create(actor.account)) index(env, id, actor);
  return id;
}

/** The session that the seeds' doors share: by its id, or by a name of the client's. */
export function clientSession(c: Context<App>, name: string): Promise<string> {
  return name.startsWith("sesn_") ? Promise.resolve(name) : namedSession(c.env, actorOf(c), "demo", name, "sessionId");
}

/** The same for a door that makes a session itself where none is named; what can be no name is nobody's session. */
export async function continuedSession(c: Context<App>, name: string | undefined): Promise<string | undefined> {
  if (name !== undefined && !NAME.test(name)) throw unknownSession(name);
  return name === undefined ? undefined : clientSession(c, name);
}
