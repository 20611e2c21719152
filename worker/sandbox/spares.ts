import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../base/env.ts";
import { contextTokensOf } from "../models/models.ts";
import { localRunner, runnerPort } from "./local.ts";

/** Waiting longer than this costs more than a spare engine saves. */
const CLAIM_TIMEOUT_MS = 500;

/**
 * An id for a new session; `options` are those of its first run. On a single machine the runner may hold a spare engine
 * that already runs under an id of the runner's choice; a session with that id gets this engine. Otherwise the id is new.
 */
export async function newSessionId(env: Env, options: RunOptions): Promise<string> {
  if (!(Number(env.GANTRY_POOL ?? 0) > 0)) return newId("session");
  // A spare engine would call the agent's MCP servers before the session exists.
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
