import { z } from "zod";
import { MetadataPatch, PAGE_QUERY, QueryFlag } from "./common.ts";
import { MAX_RESOURCES, FileResource, RepositoryResource } from "./resources.ts";
import { START } from "./sessions.ts";

/** Bodies and queries of `/v1/templates`, starting points of sessions. Managed Agents has no templates. */

/** A resource of a template. It has no credential: a session gets one through its own `resources`. */
const Resource = z.discriminatedUnion("type", [FileResource, RepositoryResource.omit({ authorization_token: true })]);

export const TemplateCreate = z.strictObject({
  ...START,
  resources: z.array(Resource).max(MAX_RESOURCES).optional(),
  name: z.string().min(1).max(256),
  description: z.string().max(2048).nullish(),
});
export type TemplateCreate = z.infer<typeof TemplateCreate>;

/** An absent field stays unchanged; null clears it. In metadata, null removes a key. */
export const TemplateUpdate = z.strictObject({
  agent: START.agent.nullable(),
  environment_id: START.environment_id.nullable(),
  resources: TemplateCreate.shape.resources.nullable(),
  title: START.title,
  model: START.model.nullable(),
  permission_mode: START.permission_mode.nullable(),
  ask_user_question: START.ask_user_question.nullable(),
  name: TemplateCreate.shape.name.optional(),
  description: TemplateCreate.shape.description,
  metadata: MetadataPatch.optional(),
});
export type TemplateUpdate = z.infer<typeof TemplateUpdate>;

export const TemplateListQuery = z.strictObject({ ...PAGE_QUERY, include_archived: QueryFlag.optional() });

/** A template as the API shows it. */
export type Template = {
  readonly type: "template";
  readonly id: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly archived_at: string | null;
} & TemplateCreate;
