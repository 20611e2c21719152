import type {
  BetaManagedAgentsDeletedSession,
  BetaManagedAgentsSession,
  BetaManagedAgentsSessionAgent,
} from "@anthropic-ai/sdk/resources/beta/sessions/sessions";

import { SessionCreate, SessionListQuery, SessionUpdate } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { Context } from "hono";
import { patchMetadata } from "../../catalog/agents/resolve.ts";
import type { Env } from "../../base/env.ts";
import { modelsOf } from "../../models/models.ts";
import { toSessionResources } from "../../resources/resolve.ts";
import type { SessionFacts } from "../../session/store/facts.ts";
import { toIso } from "../../storage/catalog.ts";
import { readCursor } from "../../storage/paging.ts";
import type { PageRequest } from "../../storage/paging.ts";
import { archiveInIndex, indexSession, listSessionIds, removeFromIndex } from "../../storage/session-index.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, createdOf, pageOf, readQuery } from "../request/query.ts";
import { toResource } from "./resources.ts";
import { AGENT_MAX_TURNS } from "../../session/store/run-options.ts";
import { checkPrompt } from "../../session/call/check-prompt.ts";
import { resolveStart, withTemplate } from "./session-start.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";
import { newSessionId } from "../../sandbox/spares.ts";
import { idFor, repeatOf } from "../request/idempotency.ts";
import { submit } from "../../session/call/submit.ts";

/** `/v1/sessions`, as in Managed Agents. */

/** `POST /v1/sessions`. Everything is checked before the session is created. */
export async function createSession(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, SessionCreate);
  const { account } = c.get("principal");
  for (const [index, event] of (body.initial_events ?? []).entries())
    await checkPrompt(c.env, account, event.content, `initial_events[${index}].content`);
  const start = await resolveStart(c, await withTemplate(c, body));
  // A repeated request must find the session of the first one, so its id cannot be that of an engine started in advance.
  const isRepeatable = c.get("origin") !== undefined;
  const id = isRepeatable ? await idFor(c, "session") : await newSessionId(c.env, start.options);
  const resources = await toSessionResources(c.env, id, start.resources);
  await indexSession(c.env, { id, account, createdAt: Date.now(), agentId: start.agentId }, actorOf(c));
  await toSessionStub(c.env, id).create(account, start.setup, resources);
  for (const [index, event] of (body.initial_events ?? []).entries()) {
    const raw = event.include_raw ? { includeRaw: true } : {};
    const options = { maxTurns: AGENT_MAX_TURNS, ...raw };
    const prompt = { prompt: event.content, isChecked: true, options, trigger: "api" };
    await submit(c.env, actorOf(c), id, prompt, await repeatOf(c, index));
  }
  return c.json(await tell(c, id));
}

/** `GET /v1/sessions/{id}`. A client that looks at a session may soon send a prompt, so its engine may start now. */
export async function retrieveSession(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const told = await tell(c, id);
  c.executionCtx.waitUntil(toSessionStub(c.env, id).opened(c.get("principal").account));
  return c.json(told);
}

/** `POST /v1/sessions/{id}`: changes the title or the metadata. */
export async function updateSession(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const body = await readJson(c.req.raw, SessionUpdate);
  const stub = toSessionStub(c.env, id);
  const { account } = c.get("principal");
  const facts = await stub.facts(account);
  if (!facts) throw unknownSession(id);
  const patch = {
    ...(body.title === undefined ? {} : { title: body.title }),
    ...(body.metadata ? { metadata: patchMetadata(facts.setup.metadata, body.metadata, true) } : {}),
  };
  await stub.change(account, patch, actorOf(c));
  return c.json(await tell(c, id));
}

/** `POST /v1/sessions/{id}/archive` */
export async function archiveSession(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const archivedAt = Date.now();
  const facts = await toSessionStub(c.env, id).change(c.get("principal").account, { archivedAt });
  if (!facts) throw unknownSession(id);
  await archiveInIndex(c.env, actorOf(c), id, archivedAt);
  return c.json(await tell(c, id));
}

/** `DELETE /v1/sessions/{id}`. Throws `conflict` while the session is running. */
export async function deleteSession(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const stub = toSessionStub(c.env, id);
  const facts = await stub.facts(account);
  if (!facts) throw unknownSession(id);
  if (facts.status === "running")
    throw new RequestRefused({ code: "conflict", reason: "The session is running; interrupt it first." });
  // The object aborts itself at the end of `destroy`, which the caller sees as an error.
  const destroyed = await stub.destroy(account).catch(() => null);
  if (destroyed?.ok === false)
    throw new RequestRefused({
      code: "sandbox_unavailable",
      reason: `${destroyed.reason} The session was not deleted.`,
    });
  await removeFromIndex(c.env, actorOf(c), id);
  return c.json({ id, type: "session_deleted" } satisfies BetaManagedAgentsDeletedSession);
}

/** Sessions whose status one request reads at most. After that it answers, even with an empty page. */
const MAX_LOOKED_AT = 500;

/** `GET /v1/sessions` */
export async function listSessions(c: Context<App>): Promise<Response> {
  const query = readQuery(c, SessionListQuery);
  const { account } = c.get("principal");
  const filter = {
    includeArchived: query.include_archived ?? false,
    created: createdOf(query),
    ...(query.agent_id === undefined ? {} : { agentId: query.agent_id }),
  };
  const ascending = query.order === "asc";
  const statuses = query["statuses[]"];
  const wanted = (facts: SessionFacts): boolean => {
    const version = query.agent_version;
    const isVersion =
      query.agent_id === undefined ||
      version === undefined ||
      (facts.setup.agent !== null && (JSON.parse(facts.setup.agent) as { version: number }).version === version);
    return isVersion && (statuses === undefined || statuses.includes(statusOf(facts)));
  };
  let request: PageRequest = { ...pageOf(query), ascending };
  const data: BetaManagedAgentsSession[] = [];
  for (let looked = 0; ;) {
    const page = await listSessionIds(c.env, account, filter, request);
    const facts = await inSixes(page.data, (id) => toSessionStub(c.env, id).facts(account));
    data.push(...facts.flatMap((each) => (each && wanted(each) ? [toSession(each, c.env)] : [])));
    looked += page.data.length;
    // The index does not know status and version, so the sessions are asked. A page may be short and still have a next one.
    const isFiltered = statuses !== undefined || query.agent_version !== undefined;
    const enough =
      data.length > 0 || looked >= MAX_LOOKED_AT || request.cursor?.direction === (ascending ? "older" : "newer");
    if (!isFiltered || enough || page.next_page === null) return c.json({ ...page, data });
    request = { ...request, cursor: readCursor(page.next_page) };
  }
}

/** A session as the API shows it. Throws 404 when the account has no such session. */
export async function tell(c: Context<App>, id: string): Promise<BetaManagedAgentsSession> {
  const facts = await toSessionStub(c.env, id).facts(c.get("principal").account);
  if (!facts) throw unknownSession(id);
  return toSession(facts, c.env);
}

function toSession(facts: SessionFacts, env: Env): BetaManagedAgentsSession {
  const { setup, usage } = facts;
  return {
    id: facts.id,
    type: "session",
    agent:
      setup.agent === null ? plainAgent(facts.model, env) : (JSON.parse(setup.agent) as BetaManagedAgentsSessionAgent),
    archived_at: toIso(setup.archivedAt),
    budget: null,
    created_at: toIso(facts.createdAt),
    environment_id: setup.environmentId ?? "",
    metadata: { ...setup.metadata },
    outcome_evaluations: [],
    resources: facts.resources.map((resource) => toResource(resource)),
    stats: {
      active_seconds: facts.activeMs / 1000,
      duration_seconds: ((setup.archivedAt ?? Date.now()) - facts.createdAt) / 1000,
    },
    status: statusOf(facts),
    title: setup.title,
    updated_at: toIso(Math.max(setup.updatedAt, facts.createdAt, facts.lastAt)),
    usage: toUsage(usage),
    vault_ids: [...(setup.vaultIds ?? [])],
  } satisfies BetaManagedAgentsSession;
}

/** A session's status as the API shows it. */
export function statusOf({ setup, status }: SessionFacts): BetaManagedAgentsSession["status"] {
  return setup.archivedAt === null ? status : "terminated";
}

/** Token usage as sessions and threads show it. */
export function toUsage(usage: ModelUsage) {
  return {
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    cache_read_input_tokens: usage.cache_read_input_tokens,
    cache_creation: { ephemeral_5m_input_tokens: usage.cache_creation_input_tokens },
  };
}

/** The agent shown for a session without one: plain Claude Code. */
export function plainAgent(model: string, env: Env): BetaManagedAgentsSessionAgent {
  return {
    id: "",
    type: "agent",
    name: "Claude Code",
    version: 1,
    description: null,
    execution_identity: { type: "service_account" },
    mcp_servers: [],
    model: { id: model || modelsOf(env).defaultModel },
    multiagent: null,
    skills: [],
    system: null,
    tools: [],
  };
}

/** Calls `ask` for all items, six at a time, because the runtime limits an invocation to six open connections. */
export async function inSixes<In, Out>(items: readonly In[], ask: (item: In) => Promise<Out>): Promise<Out[]> {
  const answers: Out[] = [];
  for (let at = 0; at < items.length; at += 6) answers.push(...(await Promise.all(items.slice(at, at + 6).map(ask))));
  return answers;
}
