import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../base/env.ts";
import { contextTokensOf } from "../models/models.ts";
import { localRunner, runnerPort } from "./local.ts";

/** A runner that takes longer to answer costs more than its spare engine saves. */
const CLAIM_TIMEOUT_MS = 500;

/**
 * Id for a session that is about to be made; `options` are those of its first run. On one machine the runner may hold a
 * spare engine that has started already under an id of the runner's choice: a session of that id finds it there.
 * Otherwise a new id.
 */
export async function newSessionId(env: Env, options: RunOptions): Promise<string> {
  if (!(Number(env.GANTRY_POOL ?? 0) > 0)) return newId("session");
  // A spare would call these servers before there is a session to call them for.
  if (options.agent?.mcpServers.length) return newId("session");
  const wish = {
    options,
    models: { baseUrl: env.MODELS_URL ?? "", ...contextTokensOf(env, options.model) },
  };
  const spare = await runnerPort(localRunner(env))
    .fetch("http://runner/spares", {
      method: "POST",
      body: JSON.stringify(wish),
      signal: AbortSignal.timeout(CLAIM_TIMEOUT_MS),
    })
    .then((response) => response.json<{ sessionId?: string | null }>())
    .catch(() => ({ sessionId: null }));
  return spare.sessionId && isId("session", spare.sessionId) ? spare.sessionId : newId("session");
}
