import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId } from "@gantry/protocol/ids.ts";
import { isKeyOpen } from "../../accounts/keys.ts";
import type { Env } from "../../base/env.ts";
import { isWorkHeld } from "../../self-hosted/work.ts";

/**
 * Whether the key (or the work item) that opened a socket or stream still opens the session. Throws
 * `storage_unavailable` when the database does not answer.
 */
export function keyHolds(env: Env, keyId: string, waitUntil: (work: Promise<unknown>) => void): Promise<boolean> {
  return isId("work", keyId) ? isWorkHeld(env, keyId) : isKeyOpen(env, keyId, waitUntil);
}

/** The same for readers, which stay open while the database does not answer: they are asked about again soon. */
export async function mayReadOn(holds: Promise<boolean>): Promise<boolean> {
  try {
    return await holds;
  } catch (error) {
    if (error instanceof RequestRefused) return true;
    throw error;
  }
}
