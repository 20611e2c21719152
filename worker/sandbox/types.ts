import { RequestRefused } from "@gantry/protocol/error.ts";
import { z } from "zod";
import type { Env } from "../base/env.ts";

/**
 * Types of sandbox that an environment can choose: image and size, by name. The deployment defines them with the setting
 * `GANTRY_SANDBOX_TYPES` in `wrangler.jsonc`; their images are those of its `containers`. An environment that names no
 * type gets the first. Without the setting all sandboxes are alike.
 */

const INSTANCES = ["lite", "basic", "standard-1", "standard-2", "standard-3", "standard-4"] as const;
const SandboxType = z.strictObject({ image: z.string().min(1), instance: z.enum(INSTANCES) });
export type SandboxType = z.infer<typeof SandboxType>;
const SandboxTypes = z.record(z.string(), SandboxType);

/** Metadata key with which an environment names a type. */
export const SANDBOX_TYPE = "sandbox_type";

type Metadata = Readonly<Record<string, string | null>>;

function typesOf(env: Env): z.infer<typeof SandboxTypes> {
  return SandboxTypes.parse(env.GANTRY_SANDBOX_TYPES ?? {});
}

/** Throws `RequestRefused` when an environment's metadata names a type that this deployment lacks. */
export function checkSandboxType(env: Env, metadata: Metadata | undefined): void {
  const name = metadata?.[SANDBOX_TYPE];
  if (name === undefined || name === null || name === "") return;
  const names = Object.keys(typesOf(env));
  if (names.includes(name)) return;
  const reason =
    names.length === 0
      ? "there are no types of sandbox to choose from here; a deployment to Cloudflare defines them in GANTRY_SANDBOX_TYPES"
      : `there is no ${JSON.stringify(name)} here, only ${names.join(", ")}`;
  throw new RequestRefused({ code: "invalid_request", field: `metadata.${SANDBOX_TYPE}`, reason });
}

/** The type that metadata names; null when the deployment has no types. Throws when it no longer has this one. */
export function sandboxType(env: Env, metadata: Metadata): SandboxType | null {
  const types = typesOf(env);
  const name = metadata[SANDBOX_TYPE] || Object.keys(types)[0];
  if (name === undefined) return null;
  const type = types[name];
  if (type === undefined)
    throw new Error(`the environment asks for the sandbox type ${JSON.stringify(name)}, which no longer exists`);
  return type;
}
