import { RequestRefused } from "@gantry/protocol/error.ts";
import { DEFAULT_MAX_TURNS, DEFAULT_PERMISSION_MODE, PermissionMode } from "@gantry/protocol/link.ts";
import type { RunOptions } from "@gantry/protocol/link.ts";
import type { Env } from "../../base/env.ts";
import { modelsOf } from "../../models/models.ts";
import type { WantedOptions } from "./run-defaults.ts";

/** Rounds of a run of a configured agent: a brake, not a measure. */
export const AGENT_MAX_TURNS = 200;

/** Checks a permission mode by name. The seeds' `full` means: everything, inside the sandbox. */
export function toPermissionMode(name: string, field: string): PermissionMode {
  const parsed = PermissionMode.safeParse(name === "full" ? "bypassPermissions" : name);
  if (parsed.success) return parsed.data;
  throw new RequestRefused({
    code: "invalid_request",
    field,
    reason: `unknown permission mode ${JSON.stringify(name)}; known are ${PermissionMode.options.join(", ")}`,
  });
}

/**
 * Checks what only the server knows, models and modes, and fills in what a request left out. Not the model: the session
 * remembers the one it used last.
 */
export function completeOptions(
  env: Env,
  given: Partial<Omit<RunOptions, "permissionMode">> & { permissionMode?: string },
): WantedOptions {
  const router = modelsOf(env);
  if (given.model !== undefined && !router.knows(given.model)) {
    throw new RequestRefused({
      code: "invalid_request",
      field: "model",
      reason: `unknown model ${JSON.stringify(given.model)}; routes are ${router.routeNames().join(", ")}`,
    });
  }
  const permissionMode = toPermissionMode(
    given.permissionMode ?? env.GANTRY_PERMISSION_MODE ?? DEFAULT_PERMISSION_MODE,
    "permissionMode",
  );
  return { ...given, permissionMode, maxTurns: given.maxTurns ?? DEFAULT_MAX_TURNS };
}
