import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Actor } from "../accounts/audit.ts";
import type { Env } from "../env.ts";
import { index } from "./sessions.ts";

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
