import { EnvironmentCreate, EnvironmentListQuery, EnvironmentUpdate } from "@gantry/protocol/api/environments.ts";
import type { BetaEnvironmentDeleteResponse } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { Context } from "hono";
import {
  createEnvironment,
  deleteEnvironment,
  environments,
  updateEnvironment,
} from "../../catalog/environments/store.ts";
import { checkSandboxType } from "../../sandbox/types.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/environments`, as in Managed Agents. Lists are newest first. */

/** Managed Agents' error code, for clients that have an error class for it. */
const NOT_FOUND = "environment_not_found";

/** `POST /v1/environments` */
export async function createEnvironmentDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, EnvironmentCreate);
  checkSandboxType(c.env, body.metadata);
  await checkSpace(c.env);
  return c.json(await createEnvironment(c.env, actorOf(c), body));
}

/** `GET /v1/environments/{id}` */
export async function retrieveEnvironment(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  return c.json(found(await environments.get(c.env, c.get("principal").account, id), "Environment", id, NOT_FOUND));
}

/** `POST /v1/environments/{id}` */
export async function updateEnvironmentDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const body = await readJson(c.req.raw, EnvironmentUpdate);
  checkSandboxType(c.env, body.metadata);
  await checkSpace(c.env);
  return c.json(found(await updateEnvironment(c.env, actorOf(c), id, body), "Environment", id, NOT_FOUND));
}

/** `GET /v1/environments` */
export async function listEnvironmentsDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, EnvironmentListQuery);
  const { account } = c.get("principal");
  return c.json(await environments.list(c.env, account, query.include_archived ?? false, pageOf(query)));
}

/** `DELETE /v1/environments/{id}` */
export async function deleteEnvironmentDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  found((await deleteEnvironment(c.env, actorOf(c), id)) || null, "Environment", id, NOT_FOUND);
  return c.json({ id, type: "environment_deleted" } satisfies BetaEnvironmentDeleteResponse);
}

/** `POST /v1/environments/{id}/archive` */
export async function archiveEnvironmentDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  return c.json(found(await environments.archive(c.env, actorOf(c), id), "Environment", id, NOT_FOUND));
}
