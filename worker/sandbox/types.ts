import { RequestRefused } from "@gantry/protocol/error.ts";
import { z } from "zod";
import type { Env } from "../base/env.ts";

/**
 * Types of sandbox that an environment may choose between: image and size, by name. They are the deployment's: the
 * setting `GANTRY_SANDBOX_TYPES` of `wrangler.jsonc`, whose images are those of its `containers`. The first is for
 * whoever names none. Without the setting there is one sandbox for all, and nothing to choose.
 */

const INSTANCES = ["lite", "basic", "standard-1", "standard-2", "standard-3", "standard-4"] as const;
const SandboxType = z.strictObject({ image: z.string().min(1), instance: z.enum(INSTANCES) });
export type SandboxType = z.infer<typeof SandboxType>;
const SandboxTypes = z.record(z.string(), SandboxType);

/** Metadata by which an environment names one. */
export const SANDBOX_TYPE = "sandbox_type";

type Metadata = Readonly<Record<string, string | null>>;

function typesOf(env: Env): z.infer<typeof SandboxTypes> {
  return SandboxTypes.parse(env.GANTRY_SANDBOX_TYPES ?? {});
}

/** Refuses an environment's metadata that name a type which is not here. */
export function checkSandboxType(env: Env, metadata: Metadata | undefined): void {
  const name = metadata?.[SANDBOX_TYPE];
  if (name === undefined || name === null || name === "") return;
  const names = Object.keys(typesOf(env));
  if (names.includes(name)) return;
  const reason =
    names.length === 0
      ? "there are no types of sandbox to choose from here; GANTRY_SANDBOX_TYPES of a deployment to Cloudflare lists them"
      : `there is no ${JSON.stringify(name)} here, only ${names.join(", ")}`;
  throw new RequestRefused({ code: "invalid_request", field: `metadata.${SANDBOX_TYPE}`, reason });
}

/** The type that metadata name; null where there is nothing to choose. Throws when the deployment has it no more. */
export function sandboxType(env: Env, metadata: Metadata): SandboxType | null {
  const types = typesOf(env);
  const name = metadata[SANDBOX_TYPE] || Object.keys(types)[0];
  if (name === undefined) return null;
  const type = types[name];
  if (type === undefined)
    throw new Error(`the environment wants a sandbox of the type ${JSON.stringify(name)}, which is no more`);
  return type;
}
