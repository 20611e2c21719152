import { RequestRefused } from "@gantry/protocol/error.ts";
import { PermissionMode } from "@gantry/protocol/link.ts";
import type { RunOptions } from "@gantry/protocol/link.ts";
import type { Env } from "../env.ts";
import { modelsOf } from "../models.ts";

/** Rounds a run may take when the request does not say (the seeds' default). */
const DEFAULT_MAX_TURNS = 3;

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

/** Fills in what a request left out and checks what only the server knows: models and modes. */
export function completeOptions(
  env: Env,
  given: Partial<Omit<RunOptions, "permissionMode">> & { permissionMode?: string },
): RunOptions {
  const router = modelsOf(env);
  const model = given.model ?? router.defaultModel;
  if (!router.knows(model)) {
    throw new RequestRefused({
      code: "invalid_request",
      field: "model",
      reason: `unknown model ${JSON.stringify(model)}; routes are ${router.routeNames().join(", ")}`,
    });
  }
  const permissionMode = toPermissionMode(
    given.permissionMode ?? env.GANTRY_PERMISSION_MODE ?? "acceptEdits",
    "permissionMode",
  );
  return { ...given, model, permissionMode, maxTurns: given.maxTurns ?? DEFAULT_MAX_TURNS };
}
