import type {
  BetaManagedAgentsInlineAgent,
  BetaManagedAgentsSessionThread,
} from "@anthropic-ai/sdk/resources/beta/sessions/threads/threads";
import type { BetaManagedAgentsSessionAgent } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { ThreadListQuery } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { primaryThreadId } from "@gantry/protocol/ids.ts";
import type { Context } from "hono";
import { rosterOf } from "../../catalog/agents/session-agent.ts";
import type { SessionFacts } from "../../session/store/facts.ts";
import type { Thread } from "../../session/log/threads.ts";
import { toIso } from "../../storage/catalog.ts";
import { writeCursor } from "../../storage/paging.ts";
import type { App } from "../request/context.ts";
import { inSixes, plainAgent, statusOf, toUsage } from "./sessions.ts";
import { pageOf, readQuery } from "../request/query.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";

/** `/v1/sessions/{id}/threads`: the primary thread, and one for each sub-agent. Oldest first. */

/** `GET /v1/sessions/{id}/threads` */
export async function listThreads(c: Context<App>): Promise<Response> {
  const query = readQuery(c, ThreadListQuery);
  const { limit, cursor } = pageOf(query);
  const statuses = query["statuses[]"] ?? null;
  const { account } = c.get("principal");
  const facts = await factsOf(c);
  // The primary thread has position 0.
  const after = cursor === null ? -1 : Number(cursor.key);
  const primary = after < 0 && (statuses?.includes(statusOf(facts)) ?? true) ? [toPrimary(c, facts)] : [];
  const children = await toSessionStub(c.env, facts.id).threads(account, Math.max(after, 0), limit + 1, statuses);
  const all = [
    ...primary.map((item) => ({ position: 0, item })),
    ...(await inSixes(children ?? [], async (each) => ({
      position: each.order,
      item: await toThread(c, facts, each),
    }))),
  ];
  const shown = all.slice(0, limit);
  const last = shown.at(-1);
  const next_page = all.length > limit && last ? writeCursor({ direction: "older", key: last.position }) : null;
  return c.json({ data: shown.map(({ item }) => item), next_page });
}

/** `GET /v1/sessions/{id}/threads/{thread}` */
export async function retrieveThread(c: Context<App>): Promise<Response> {
  return c.json(await tell(c));
}

/** `POST /v1/sessions/{id}/threads/{thread}/archive` */
export async function archiveThread(c: Context<App>): Promise<Response> {
  const facts = await factsOf(c);
  const thread = c.req.param("thread") ?? "";
  if (thread === primaryThreadId(facts.id))
    throw refused("The primary thread is archived with its session; archive the session instead.");
  const archived = await toSessionStub(c.env, facts.id).archiveThread(c.get("principal").account, thread);
  if (archived === null) throw unknownThread(thread);
  if (!archived) throw refused("The thread is running; interrupt the session first.");
  return c.json(await tell(c));
}

/** The 404 error for a thread. */
export function unknownThread(id: string): RequestRefused {
  return new RequestRefused({ code: "not_found", what: `Thread ${JSON.stringify(id)}` });
}

function refused(reason: string): RequestRefused {
  return new RequestRefused({ code: "conflict", reason });
}

async function factsOf(c: Context<App>): Promise<SessionFacts> {
  const id = c.req.param("id") ?? "";
  const facts = await toSessionStub(c.env, id).facts(c.get("principal").account);
  if (!facts) throw unknownSession(id);
  return facts;
}

async function tell(c: Context<App>): Promise<BetaManagedAgentsSessionThread> {
  const facts = await factsOf(c);
  const id = c.req.param("thread") ?? "";
  if (id === primaryThreadId(facts.id)) return toPrimary(c, facts);
  const thread = await toSessionStub(c.env, facts.id).thread(c.get("principal").account, id);
  if (!thread) throw unknownThread(id);
  return toThread(c, facts, thread);
}

function agentOf(c: Context<App>, facts: SessionFacts): BetaManagedAgentsSessionThread["agent"] {
  const { multiagent: _multiagent, ...agent } =
    facts.setup.agent === null
      ? plainAgent(facts.model, c.env)
      : (JSON.parse(facts.setup.agent) as BetaManagedAgentsSessionAgent);
  return agent;
}

function toPrimary(c: Context<App>, facts: SessionFacts): BetaManagedAgentsSessionThread {
  const active_seconds = facts.activeMs / 1000;
  return {
    id: primaryThreadId(facts.id),
    type: "session_thread",
    session_id: facts.id,
    parent_thread_id: null,
    workflow_run_id: null,
    agent: agentOf(c, facts),
    status: statusOf(facts),
    created_at: toIso(facts.createdAt),
    updated_at: toIso(Math.max(facts.setup.updatedAt, facts.createdAt)),
    archived_at: toIso(facts.setup.archivedAt),
    stats: { active_seconds, duration_seconds: (Date.now() - facts.createdAt) / 1000, startup_seconds: 0 },
    usage: { ...toUsage(facts.mainUsage), active_seconds },
  } satisfies BetaManagedAgentsSessionThread;
}

async function toThread(c: Context<App>, facts: SessionFacts, thread: Thread): Promise<BetaManagedAgentsSessionThread> {
  // A thread that is another session reads its agent and usage from there; if that was deleted, this session's record counts.
  const peer = thread.peer && (await toSessionStub(c.env, thread.peer).facts(c.get("principal").account));
  const active_seconds = thread.activeMs / 1000;
  const until = thread.archivedAt ?? Date.now();
  return {
    id: thread.id,
    type: "session_thread",
    session_id: facts.id,
    parent_thread_id: thread.parent,
    workflow_run_id: null,
    agent: peer ? agentOf(c, peer) : agentOfThread(facts, thread.agentName),
    status: thread.status,
    created_at: toIso(thread.createdAt),
    updated_at: toIso(thread.updatedAt),
    archived_at: toIso(thread.archivedAt),
    stats: { active_seconds, duration_seconds: (until - thread.createdAt) / 1000, startup_seconds: 0 },
    usage: { ...toUsage(peer ? peer.usage : thread.usage), active_seconds },
  } satisfies BetaManagedAgentsSessionThread;
}

/** The roster's agent with this name. The engine's own and ad-hoc sub-agents have no agent resource. */
function agentOfThread(facts: SessionFacts, name: string): BetaManagedAgentsSessionThread["agent"] {
  const agent = facts.setup.agent === null ? null : (JSON.parse(facts.setup.agent) as BetaManagedAgentsSessionAgent);
  const found = agent && rosterOf(agent).agents.find((each) => each.name === name);
  if (found) return found;
  return {
    type: "inline",
    name,
    description: null,
    execution_identity: { type: "service_account" },
    mcp_servers: [],
    model: agent?.model ?? { id: facts.model },
    skills: [],
    system: null,
    tools: [],
  } satisfies BetaManagedAgentsInlineAgent;
}

/** The thread that the path names, as a filter on the log; null is the primary thread. Throws 404 for an unknown one. */
export async function viewOf(c: Context<App>): Promise<{ thread: string | null }> {
  const thread = c.req.param("thread");
  const id = c.req.param("id") ?? "";
  if (thread === undefined || thread === primaryThreadId(id)) return { thread: null };
  if (!(await toSessionStub(c.env, id).thread(c.get("principal").account, thread))) throw unknownThread(thread);
  return { thread };
}
