import type { AgentCreate, AgentUpdate } from "@gantry/protocol/api/agents.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import type { BetaManagedAgentsAgent } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import { auditStatement } from "../../storage/audit.ts";
import type { Actor } from "../../storage/audit.ts";
import type { Env } from "../../base/env.ts";
import { catalog, toIso } from "../../storage/catalog.ts";
import { readPage } from "../../storage/paging.ts";
import type { Page, PageRequest } from "../../storage/paging.ts";
import { resolveMultiagent } from "./multiagent.ts";
import { changedBody, newBody } from "./resolve.ts";
import type { AgentBody } from "./resolve.ts";

interface AgentRow {
  id: string;
  created_at: number;
  archived_at: number | null;
  version: number;
  updated_at: number;
  body: string;
}

/** Selects agents joined with their versions; `agents.version` is the newest. */
const SELECT = `SELECT agents.id, agents.created_at, agents.archived_at, v.version, v.created_at AS updated_at, v.body
  FROM agents JOIN agent_versions v ON v.agent_id = agents.id`;
const NEWEST = "v.version = agents.version";

/** How often a change without a version is tried when other changes interfere. */
const MAX_TRIES = 5;

/** An agent in the given version, or the newest. Null: the account has no such agent or version. */
export async function getAgent(
  env: Env,
  account: string,
  id: string,
  version?: number,
): Promise<BetaManagedAgentsAgent | null> {
  if (!isId("agent", id)) return null;
  const which = version === undefined ? NEWEST : "v.version = ?";
  const row = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE agents.id = ? AND agents.account = ? AND ${which}`)
    .bind(id, account, ...(version === undefined ? [] : [version]))
    .first<AgentRow>();
  return row === null ? null : toAgent(row);
}

/** Creates an agent. Throws `RequestRefused` when its parts do not fit together. */
export async function createAgent(env: Env, actor: Actor, wanted: AgentCreate): Promise<BetaManagedAgentsAgent> {
  const db = await catalog(env);
  const now = Date.now();
  const id = newId("agent", now);
  const body = newBody(wanted, await resolveMultiagent(wanted.multiagent, { id, version: 1 }, finder(env, actor)));
  const row: AgentRow = {
    id,
    created_at: now,
    archived_at: null,
    version: 1,
    updated_at: now,
    body: JSON.stringify(body),
  };
  await db.batch([
    db
      .prepare(`INSERT INTO agent_versions (agent_id, version, created_at, body) VALUES (?, 1, ?, ?)`)
      .bind(id, now, row.body),
    db
      .prepare(`INSERT INTO agents (id, account, version, created_at) VALUES (?, ?, 1, ?)`)
      .bind(id, actor.account, now),
    auditStatement(db, actor, "agent.create", id),
  ]);
  return toAgent(row);
}

/**
 * Changes an agent: creates a new version, unless nothing is different. Throws `RequestRefused` (409) when
 * `change.version` is given and not the newest. Null: the account has no such agent.
 */
export async function updateAgent(
  env: Env,
  actor: Actor,
  id: string,
  change: AgentUpdate,
): Promise<BetaManagedAgentsAgent | null> {
  const db = await catalog(env);
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const current = await getAgent(env, actor.account, id);
    if (current === null) return null;
    if (current.archived_at !== null)
      throw new RequestRefused({ code: "invalid_request", field: "id", reason: "this agent is archived" });
    if (change.version !== undefined && change.version !== current.version) throw conflict(id, current.version);
    const version = current.version + 1;
    const multiagent =
      change.multiagent === undefined
        ? undefined
        : await resolveMultiagent(change.multiagent, { id, version }, finder(env, actor));
    const before = JSON.stringify(toBody(current));
    const body = JSON.stringify(changedBody(toBody(current), change, multiagent));
    if (body === before) return current;
    const now = Date.now();
    const [updated] = await db.batch([
      db
        .prepare(`UPDATE agents SET version = ? WHERE id = ? AND account = ? AND version = ? AND archived_at IS NULL`)
        .bind(version, id, actor.account, current.version),
      db
        .prepare(
          `INSERT INTO agent_versions (agent_id, version, created_at, body) SELECT ?, ?, ?, ? WHERE changes() > 0`,
        )
        .bind(id, version, now, body),
      auditStatement(db, actor, "agent.update", id),
    ]);
    if ((updated?.meta.changes ?? 0) > 0) return getAgent(env, actor.account, id, version);
  }
  const newest = await getAgent(env, actor.account, id);
  if (newest === null) return null;
  throw conflict(id, newest.version);
}

/** Archives an agent: it stays readable, but no session can begin with it. Repeating this changes nothing. Null: the
 * account has no such agent. */
export async function archiveAgent(env: Env, actor: Actor, id: string): Promise<BetaManagedAgentsAgent | null> {
  const db = await catalog(env);
  await db.batch([
    db
      .prepare(`UPDATE agents SET archived_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`)
      .bind(Date.now(), id, actor.account),
    auditStatement(db, actor, "agent.archive", id),
  ]);
  return getAgent(env, actor.account, id);
}

/** Selects agents for a list. Times are in milliseconds since 1970, inclusive. */
export interface AgentFilter {
  readonly includeArchived: boolean;
  readonly createdFrom: number | undefined;
  readonly createdTo: number | undefined;
}

/** Agents of an account in their newest versions, newest agent first. */
export async function listAgents(
  env: Env,
  account: string,
  filter: AgentFilter,
  request: PageRequest,
): Promise<Page<BetaManagedAgentsAgent>> {
  const where = ["agents.account = ?", NEWEST];
  const values: (string | number)[] = [account];
  if (!filter.includeArchived) where.push("agents.archived_at IS NULL");
  for (const [condition, value] of [
    ["agents.created_at >= ?", filter.createdFrom],
    ["agents.created_at <= ?", filter.createdTo],
  ] as const) {
    if (value === undefined) continue;
    where.push(condition);
    values.push(value);
  }
  const query = { select: SELECT, where, values, key: "agents.id" };
  return readPage(await catalog(env), query, request, (row: AgentRow) => row.id, toAgent);
}

/** All versions of an agent, newest first. Null: the account has no such agent. */
export async function listAgentVersions(
  env: Env,
  account: string,
  id: string,
  request: PageRequest,
): Promise<Page<BetaManagedAgentsAgent> | null> {
  if ((await getAgent(env, account, id)) === null) return null;
  const query = {
    select: SELECT,
    where: ["agents.id = ?", "agents.account = ?"],
    values: [id, account],
    key: "v.version",
  };
  return readPage(await catalog(env), query, request, (row: AgentRow) => row.version, toAgent);
}

function finder(env: Env, actor: Actor) {
  return (id: string, version?: number) => getAgent(env, actor.account, id, version);
}

function conflict(id: string, version: number): RequestRefused {
  const reason = `Agent ${id} now has version ${version}. Retrieve it, apply the change to that version, and send its number.`;
  return new RequestRefused({ code: "conflict", reason });
}

function toAgent(row: AgentRow): BetaManagedAgentsAgent {
  const body = JSON.parse(row.body) as AgentBody;
  return {
    type: "agent",
    id: row.id,
    version: row.version,
    ...body,
    created_at: toIso(row.created_at),
    updated_at: toIso(Math.max(row.updated_at, row.archived_at ?? 0)),
    archived_at: toIso(row.archived_at),
  } satisfies BetaManagedAgentsAgent;
}

function toBody(agent: BetaManagedAgentsAgent): AgentBody {
  const { id: _id, type: _type, version: _version, created_at: _c, updated_at: _u, archived_at: _a, ...body } = agent;
  return body;
}
