import type { RunOptions } from "@gantry/protocol/link.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../base/env.ts";
import { contextTokensOf, modelsOf } from "../models/models.ts";
import { localRunner, runnerPort } from "./local.ts";

/** A runner that takes longer to answer costs more than its spare engine saves. */
const CLAIM_TIMEOUT_MS = 500;

/**
 * Id for a session that is about to be made. On one machine the runner may hold an engine that has started already,
 * under an id of its own choice: whoever makes a session of that id finds it there. Else a new id.
 */
export async function newSessionId(
  env: Env,
  wanted: Omit<RunOptions, "model"> & { readonly model?: string | undefined },
): Promise<string> {
  if (!(Number(env.GANTRY_POOL ?? 0) > 0)) return newId("session");
  const model = wanted.model ?? modelsOf(env).defaultModel;
  // A spare would call these servers before there is a session to call them for.
  if (wanted.agent?.mcpServers.length) return newId("session");
  const wish = {
    options: { ...wanted, model },
    models: { baseUrl: env.MODELS_URL ?? "", ...contextTokensOf(env, model) },
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
