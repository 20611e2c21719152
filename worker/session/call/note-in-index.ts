import { waitUntil } from "cloudflare:workers";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import type { Actor } from "../../storage/audit.ts";
import { indexSession } from "../../storage/session-index.ts";

/** Adds a new session to the index that lists read, without delaying the prompt. */
export function noteInIndex(env: Env, id: string, actor: Actor): void {
  waitUntil(
    indexSession(env, { id, account: actor.account, createdAt: Date.now(), agentId: null }, actor).catch(
      (error: unknown) => report({ event: "index_not_told", sessionId: id, error: String(error) }),
    ),
  );
}
