import type { MultiagentParams, PredefinedAgent, RosterEntry, SpawningParams } from "@gantry/protocol/api/agents.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type {
  BetaManagedAgentsAgent,
  BetaManagedAgentsAgentReference,
  BetaManagedAgentsMultiagentCoordinator,
  BetaManagedAgentsMultiagentSubagents,
} from "@anthropic-ai/sdk/resources/beta/agents/agents";

/** The agent that is being stored, with its new version. */
export interface SelfRef {
  readonly id: string;
  readonly version: number;
}

/** Looks up an agent in the account of the request; without a version, the newest. */
export type FindAgent = (id: string, version?: number) => Promise<BetaManagedAgentsAgent | null>;

/**
 * Fills in the versions of references to other agents, so that later changes to those agents have no effect here. Throws
 * `RequestRefused` for an agent that is unknown, archived, listed twice, or starts agents itself.
 */
export async function resolveMultiagent(
  wanted: MultiagentParams | null | undefined,
  self: SelfRef,
  find: FindAgent,
): Promise<BetaManagedAgentsAgent["multiagent"]> {
  if (wanted === null || wanted === undefined) return null;
  if (wanted.type === "coordinator") {
    const agents: BetaManagedAgentsMultiagentCoordinator["agents"] = [];
    for (const [i, entry] of wanted.agents.entries()) {
      const field = `multiagent.agents[${i}]`;
      agents.push(isAdvisor(entry) ? entry : await resolveRef(entry, field, self, find));
    }
    const ids = agents.map((entry) => (entry.type === "agent" ? entry.id : "advisor"));
    refuseDuplicate(ids, "multiagent.agents");
    return { type: "coordinator", agents };
  }
  return {
    type: wanted.type,
    advisor: wanted.advisor ?? { type: "disabled" },
    subagents: await resolveSpawning(wanted.subagents, "multiagent.subagents", self, find),
    workflows: await resolveSpawning(wanted.workflows, "multiagent.workflows", self, find),
  };
}

/** Applies the defaults: enabled, and with inline agents. */
async function resolveSpawning(
  wanted: SpawningParams | null | undefined,
  field: string,
  self: SelfRef,
  find: FindAgent,
): Promise<BetaManagedAgentsMultiagentSubagents> {
  if (wanted?.type === "disabled") return { type: "disabled" };
  const predefined: BetaManagedAgentsAgentReference[] = [];
  for (const [i, entry] of (wanted?.predefined_agents ?? []).entries())
    predefined.push(await resolveRef(entry, `${field}.predefined_agents[${i}]`, self, find));
  refuseDuplicate(
    predefined.map((entry) => entry.id),
    `${field}.predefined_agents`,
  );
  return {
    type: "enabled",
    inline_agents: wanted?.inline_agents ?? { type: "enabled" },
    predefined_agents: predefined,
  };
}

async function resolveRef(
  entry: PredefinedAgent,
  field: string,
  self: SelfRef,
  find: FindAgent,
): Promise<BetaManagedAgentsAgentReference> {
  const refuse = (reason: string): never => {
    throw new RequestRefused({ code: "invalid_request", field, reason });
  };
  const { id, version } = typeof entry === "string" ? { id: entry, version: undefined } : toRef(entry, self);
  if (id === self.id) return { type: "agent", id, version: self.version };
  const agent = await find(id, version);
  if (agent === null) return refuse("there is no such agent");
  if (agent.archived_at !== null) return refuse("this agent is archived");
  if (agent.multiagent !== null) return refuse("this agent starts other agents itself; only one level is allowed");
  return { type: "agent", id, version: agent.version };
}

function toRef(entry: Exclude<PredefinedAgent, string>, self: SelfRef): { id: string; version: number | undefined } {
  return entry.type === "self" ? self : { id: entry.id, version: entry.version };
}

function isAdvisor(entry: RosterEntry): entry is { type: "advisor"; model: string } {
  return typeof entry === "object" && entry.type === "advisor";
}

function refuseDuplicate(ids: readonly string[], field: string): void {
  const twice = ids.findIndex((id, i) => ids.indexOf(id) !== i);
  if (twice >= 0)
    throw new RequestRefused({ code: "invalid_request", field: `${field}[${twice}]`, reason: "appears twice" });
}
