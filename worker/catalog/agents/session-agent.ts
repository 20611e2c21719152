import type {
  BetaManagedAgentsAgent,
  BetaManagedAgentsAgentReference,
  BetaManagedAgentsSessionThreadAgent,
} from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type {
  BetaManagedAgentsSessionAgent,
  BetaManagedAgentsSessionMultiagent,
} from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import type { SessionAgent } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Env } from "../../base/env.ts";
import { changedBody, newBody } from "./resolve.ts";
import type { AgentBody } from "./resolve.ts";
import { getAgent } from "./store.ts";

/** A session's agent: a snapshot that includes the full definitions of the agents it may start. */

type InlineAgent = Extract<SessionAgent, { type: "inline" }>;

/** The agent for a new session. Throws `RequestRefused` when it is unknown or archived. */
export async function agentOf(env: Env, account: string, wanted: SessionAgent): Promise<BetaManagedAgentsSessionAgent> {
  if (typeof wanted !== "string" && "type" in wanted && wanted.type === "inline") return inlineAgent(wanted);
  const { id, version } = typeof wanted === "string" ? { id: wanted, version: undefined } : wanted;
  const agent = await getAgent(env, account, id, version);
  if (!agent) throw new RequestRefused({ code: "not_found", what: `Agent ${JSON.stringify(id)}` });
  if (agent.archived_at !== null)
    throw new RequestRefused({ code: "invalid_request", field: "agent", reason: "is archived" });
  const find = (ref: BetaManagedAgentsAgentReference) => getAgent(env, account, ref.id, ref.version);
  const multiagent = await toSessionMultiagent(agent, find);
  if (typeof wanted === "string" || !("type" in wanted) || wanted.type === "agent")
    return { ...toThreadAgent(agent, agent), multiagent };
  const { type: _type, id: _id, version: _version, ...overrides } = wanted;
  return { ...toThreadAgent(agent, changedBody(agent, overrides, undefined)), multiagent };
}

/** An agent that belongs to this session only: it has no id, so nothing else can refer to it. */
function inlineAgent({ type: _type, ...wanted }: InlineAgent): BetaManagedAgentsSessionAgent {
  const { description, execution_identity, mcp_servers, model, name, skills, system, tools } = newBody(
    { ...wanted, name: wanted.name ?? "Inline agent" },
    null,
  );
  const parts = { description, execution_identity, mcp_servers, model, name, skills, system, tools };
  return { id: "", type: "agent", version: 1, ...parts, multiagent: null };
}

function toThreadAgent(
  { id, version }: BetaManagedAgentsAgent,
  { description, execution_identity, mcp_servers, model, name, skills, system, tools }: AgentBody,
): BetaManagedAgentsSessionThreadAgent {
  const parts = { description, execution_identity, mcp_servers, model, name, skills, system, tools };
  return { id, type: "agent", version, ...parts };
}

async function toSessionMultiagent(
  agent: BetaManagedAgentsAgent,
  find: (ref: BetaManagedAgentsAgentReference) => Promise<BetaManagedAgentsAgent | null>,
): Promise<BetaManagedAgentsSessionMultiagent | null> {
  const { multiagent } = agent;
  if (multiagent === null) return null;
  const resolve = async (refs: readonly BetaManagedAgentsAgentReference[]) => {
    const found = await Promise.all(refs.map(async (ref) => (ref.id === agent.id ? agent : find(ref))));
    return found.flatMap((each) => (each === null ? [] : [toThreadAgent(each, each)]));
  };
  if (multiagent.type === "coordinator") {
    const agents = await resolve(multiagent.agents.filter((entry) => entry.type === "agent"));
    return { type: "coordinator", agents: [...agents, ...multiagent.agents.filter((entry) => entry.type !== "agent")] };
  }
  const { advisor, subagents, workflows } = multiagent;
  const spawning = async <T extends typeof subagents>(spawn: T) =>
    spawn.type === "disabled"
      ? { type: spawn.type }
      : { ...spawn, predefined_agents: await resolve(spawn.predefined_agents) };
  return { type: multiagent.type, advisor, subagents: await spawning(subagents), workflows: await spawning(workflows) };
}

/** The agents that the engine may start as sub-agents, and whether it may define others inline. */
export function rosterOf({ multiagent }: Pick<BetaManagedAgentsSessionAgent, "multiagent">): {
  agents: BetaManagedAgentsSessionThreadAgent[];
  inline: boolean;
} {
  if (multiagent === null) return { agents: [], inline: false };
  if (multiagent.type === "coordinator")
    return { agents: multiagent.agents.filter((entry) => entry.type === "agent"), inline: false };
  const { subagents } = multiagent;
  if (subagents.type === "disabled") return { agents: [], inline: false };
  return { agents: subagents.predefined_agents, inline: subagents.inline_agents.type === "enabled" };
}

/** The MCP servers of an agent and of the agents it may start. */
export function serversOf(
  agent: Pick<BetaManagedAgentsSessionAgent, "mcp_servers" | "multiagent">,
): BetaManagedAgentsSessionAgent["mcp_servers"] {
  return [...agent.mcp_servers, ...rosterOf(agent).agents.flatMap((each) => each.mcp_servers)];
}
