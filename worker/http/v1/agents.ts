import { AgentCreate, AgentListQuery, AgentQuery, AgentUpdate } from "@gantry/protocol/api/agents.ts";
import { PageQuery } from "@gantry/protocol/api/common.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import {
  archiveAgent,
  createAgent,
  getAgent,
  listAgentVersions,
  listAgents,
  updateAgent,
} from "../../catalog/agents/store.ts";
import type { Env } from "../../base/env.ts";
import { modelsOf } from "../../models/models.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/agents`, as in Managed Agents. Lists are newest first. */

/** `POST /v1/agents` */
export async function createAgentDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, AgentCreate);
  checkModel(c.env, body.model);
  await checkSpace(c.env);
  return c.json(await createAgent(c.env, actorOf(c), body));
}

/** `GET /v1/agents/{id}`; `?version=` selects an older version. */
export async function retrieveAgent(c: Context<App>): Promise<Response> {
  const { version } = readQuery(c, AgentQuery);
  const id = c.req.param("id") ?? "";
  return c.json(found(await getAgent(c.env, c.get("principal").account, id, version), "Agent", id));
}

/** `POST /v1/agents/{id}` */
export async function updateAgentDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const body = await readJson(c.req.raw, AgentUpdate);
  if (body.model !== undefined) checkModel(c.env, body.model);
  await checkSpace(c.env);
  return c.json(found(await updateAgent(c.env, actorOf(c), id, body), "Agent", id));
}

/** `GET /v1/agents` */
export async function listAgentsDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, AgentListQuery);
  const filter = {
    includeArchived: query.include_archived ?? false,
    createdFrom: query["created_at[gte]"],
    createdTo: query["created_at[lte]"],
  };
  return c.json(await listAgents(c.env, c.get("principal").account, filter, pageOf(query)));
}

/** `GET /v1/agents/{id}/versions` */
export async function listAgentVersionsDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, PageQuery);
  const id = c.req.param("id") ?? "";
  return c.json(found(await listAgentVersions(c.env, c.get("principal").account, id, pageOf(query)), "Agent", id));
}

/** `POST /v1/agents/{id}/archive` */
export async function archiveAgentDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  return c.json(found(await archiveAgent(c.env, actorOf(c), id), "Agent", id));
}

/** Refuses a model that no route accepts, because its agent could never run. */
function checkModel(env: Env, model: AgentCreate["model"]): void {
  const [field, name] = typeof model === "string" ? ["model", model] : ["model.id", model.id];
  const router = modelsOf(env);
  if (router.knows(name)) return;
  const reason = `unknown model ${JSON.stringify(name)}; the routes are ${router.routeNames().join(", ")}`;
  throw new RequestRefused({ code: "invalid_request", field, reason });
}
