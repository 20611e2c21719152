import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Env } from "../../base/env.ts";
import { modelsOf } from "../../models/models.ts";
import { toPermissionMode } from "../store/run-options.ts";
import type { CheckedOptions, WantedOptions } from "../store/run-options.ts";

/** Checks the options that only the server knows: models and permission modes. Throws `RequestRefused` naming the field. */
export function checkOptions(env: Env, { permissionMode, ...wanted }: WantedOptions): CheckedOptions {
  const router = modelsOf(env);
  if (wanted.model !== undefined && !router.knows(wanted.model)) {
    throw new RequestRefused({
      code: "invalid_request",
      field: "model",
      reason: `unknown model ${JSON.stringify(wanted.model)}; routes are ${router.routeNames().join(", ")}`,
    });
  }
  return permissionMode === undefined
    ? wanted
    : { ...wanted, permissionMode: toPermissionMode(permissionMode, "permissionMode") };
}
