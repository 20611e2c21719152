import type {
  BetaManagedAgentsDeleteSessionResource,
  BetaManagedAgentsSessionResource,
} from "@anthropic-ai/sdk/resources/beta/sessions/resources";

import { FileResource, ResourceListQuery, ResourceUpdate } from "@gantry/protocol/api/resources.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { noteChange } from "../../storage/audit.ts";
import { checkCanSeal, resolveResources, secretName, toSessionResources } from "../../resources/resolve.ts";
import type { ResourceChange, SessionResource } from "../../resources/session-resource.ts";
import type { SessionFacts } from "../../session/store/facts.ts";
import { toIso } from "../../storage/catalog.ts";
import { seal } from "../../storage/seal.ts";
import { toPage } from "../../storage/paging.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";

/** `/v1/sessions/{id}/resources`: files and repositories of a session, as in Managed Agents. */

/** A resource as the API shows it, never with its credential. */
export function toResource({
  mount,
  createdAt,
  updatedAt,
}: Omit<SessionResource, "secret">): Exclude<BetaManagedAgentsSessionResource, { type: "memory_store" }> {
  const common = {
    id: mount.id,
    mount_path: mount.path,
    created_at: toIso(createdAt),
    updated_at: toIso(updatedAt),
  };
  if (mount.type === "file") return { ...common, type: "file", file_id: mount.fileId };
  return { ...common, type: "github_repository", url: mount.url, checkout: mount.checkout };
}

/** `GET .../resources`, newest first. */
export async function listResources(c: Context<App>): Promise<Response> {
  const { limit, cursor } = pageOf(readQuery(c, ResourceListQuery));
  const { resources } = await factsOf(c);
  const newest = resources.map((resource) => toResource(resource)).toSorted((a, b) => (a.id < b.id ? 1 : -1));
  const key = typeof cursor?.key === "string" ? cursor.key : "";
  const rows =
    cursor === null
      ? newest
      : cursor.direction === "older"
        ? newest.filter((each) => each.id < key)
        : newest.filter((each) => each.id > key).toReversed();
  return c.json(
    toPage(
      rows.slice(0, limit + 1),
      { limit, cursor },
      (each) => each.id,
      (each) => each,
    ),
  );
}

/** `GET .../resources/{resource}` */
export async function retrieveResource(c: Context<App>): Promise<Response> {
  return c.json(toResource(await resourceOf(c)));
}

/** `POST .../resources`: adds a file, which is mounted before the next run. */
export async function addResource(c: Context<App>): Promise<Response> {
  const params = await readJson(c.req.raw, FileResource);
  const id = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const facts = await factsOf(c);
  if (facts.setup.archivedAt !== null)
    throw new RequestRefused({ code: "conflict", reason: "The session is archived." });
  if (facts.setup.selfHosted)
    throw new RequestRefused({ code: "conflict", reason: "Files cannot be mounted in a self-hosted environment." });
  const there = facts.resources.map((resource) => resource.mount);
  const wanted = await resolveResources(c.env, account, [params], there, "");
  const [resource] = await toSessionResources(c.env, id, wanted);
  if (!resource || !(await toSessionStub(c.env, id).changeResources(account, { type: "add", resource })))
    throw unknownSession(id);
  await noteChange(c.env, actorOf(c), "resource.create", resource.mount.id);
  return c.json(toResource(resource));
}

/** `POST .../resources/{resource}`: replaces a repository's credential. */
export async function updateResource(c: Context<App>): Promise<Response> {
  const { authorization_token } = await readJson(c.req.raw, ResourceUpdate);
  const { mount } = await resourceOf(c);
  const id = c.req.param("id") ?? "";
  if (mount.type !== "repository")
    throw new RequestRefused({
      code: "invalid_request",
      field: "authorization_token",
      reason: "applies only to repositories; this resource is a file",
    });
  checkCanSeal(c.env, "authorization_token");
  const secret = await seal(c.env, secretName(id, mount.id), authorization_token);
  await change(c, { type: "credential", id: mount.id, secret });
  await noteChange(c.env, actorOf(c), "resource.update", mount.id);
  return c.json(toResource(await resourceOf(c)));
}

/**
 * `DELETE .../resources/{resource}`: a file is removed from the sandbox before the next run. For a repository only the
 * credential is deleted; its folder stays.
 */
export async function deleteResource(c: Context<App>): Promise<Response> {
  const { mount } = await resourceOf(c);
  await change(c, { type: "remove", id: mount.id });
  await noteChange(c.env, actorOf(c), "resource.delete", mount.id);
  return c.json({ id: mount.id, type: "session_resource_deleted" } satisfies BetaManagedAgentsDeleteSessionResource);
}

async function factsOf(c: Context<App>): Promise<SessionFacts> {
  const id = c.req.param("id") ?? "";
  const facts = await toSessionStub(c.env, id).facts(c.get("principal").account);
  if (!facts) throw unknownSession(id);
  return facts;
}

async function resourceOf(c: Context<App>): Promise<Omit<SessionResource, "secret">> {
  const wanted = c.req.param("resource") ?? "";
  const { resources } = await factsOf(c);
  return found(resources.find(({ mount }) => mount.id === wanted) ?? null, "Resource", wanted);
}

async function change(c: Context<App>, wanted: Exclude<ResourceChange, { type: "add" }>): Promise<void> {
  const stub = toSessionStub(c.env, c.req.param("id") ?? "");
  const changed = await stub.changeResources(c.get("principal").account, wanted);
  if (!changed) throw new RequestRefused({ code: "not_found", what: `Resource ${JSON.stringify(wanted.id)}` });
}
