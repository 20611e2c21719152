import { TemplateCreate, TemplateListQuery, TemplateUpdate } from "@gantry/protocol/api/templates.ts";
import type { Context } from "hono";
import { templates, updateTemplate } from "../../catalog/templates/store.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { resolveStart } from "./session-start.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/templates`: starting points of sessions. `POST /v1/sessions {"template": "tmpl_..."}` begins from one. */

/** `POST /v1/templates`. Values that a session could not start with are refused now. */
export async function createTemplateDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, TemplateCreate);
  await checkSpace(c.env);
  await resolveStart(c, body);
  return c.json(await templates.create(c.env, actorOf(c), body));
}

/** `GET /v1/templates/{id}` */
export async function retrieveTemplate(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  return c.json(found(await templates.get(c.env, c.get("principal").account, id), "Template", id));
}

/** `POST /v1/templates/{id}` */
export async function updateTemplateDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const body = await readJson(c.req.raw, TemplateUpdate);
  await checkSpace(c.env);
  const given = Object.entries(body).filter(([name, value]) => value !== null && name !== "metadata");
  await resolveStart(c, Object.fromEntries(given));
  return c.json(found(await updateTemplate(c.env, actorOf(c), id, body), "Template", id));
}

/** `GET /v1/templates`, newest first. */
export async function listTemplatesDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, TemplateListQuery);
  const { account } = c.get("principal");
  return c.json(await templates.list(c.env, account, query.include_archived ?? false, pageOf(query)));
}

/** `POST /v1/templates/{id}/archive` */
export async function archiveTemplateDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  return c.json(found(await templates.archive(c.env, actorOf(c), id), "Template", id));
}
