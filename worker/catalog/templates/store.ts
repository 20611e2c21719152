import type { Template, TemplateCreate, TemplateUpdate } from "@gantry/protocol/api/templates.ts";
import type { Actor } from "../../storage/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../../base/env.ts";
import { Documents } from "../../storage/documents.ts";

/** Templates of an account. */
export const templates = new Documents<TemplateCreate, Template>("template", (stamp, body) => ({
  type: "template",
  ...body,
  ...stamp,
}));

/** Changes a template; sessions created from it stay unchanged. Of two concurrent changes the later one wins. Null: the
 * account has no such template. */
export async function updateTemplate(
  env: Env,
  actor: Actor,
  id: string,
  change: TemplateUpdate,
): Promise<Template | null> {
  const current = await templates.getOpen(env, actor.account, id);
  if (current === null) return null;
  const { type: _type, id: _id, created_at: _c, updated_at: _u, archived_at: _a, ...before } = current;
  const { metadata, ...fields } = change;
  const after = Object.fromEntries(
    Object.entries({ ...before, ...fields }).filter(([, value]) => value !== null && value !== undefined),
  );
  const patched = metadata ? { metadata: patchMetadata(before.metadata ?? {}, metadata, false) } : {};
  return templates.replace(env, actor, id, { ...after, ...patched } as TemplateCreate);
}
