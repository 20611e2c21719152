import type { AgentDefinition, McpHttpServerConfig, Options, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { lstat } from "node:fs/promises";
import { namesIn, readHead } from "../folders/read-bounded.ts";
import { join } from "node:path";
import type { EngineStart } from "@gantry/protocol/link.ts";
import type { AgentSetup, ToolPolicy } from "@gantry/protocol/agent-setup.ts";
import type { PermissionMode } from "@gantry/protocol/permission-mode.ts";
import type { EngineHandlers } from "./contract.ts";
import { peerLimitsOf } from "@gantry/protocol/peers.ts";
import { clientTools } from "./tools/client-tools.ts";
import { engineModel } from "./environment.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import { peerTools } from "./tools/peer-tools.ts";
import { CUSTOM_PREFIX, WORKER_PREFIX } from "./translate/tool-names.ts";
import { workerTools } from "./tools/worker-tools.ts";

/** The engine's tool that starts a sub-agent. */
const AGENT_TOOL = "Agent";

/** The engine's tool that asks to leave plan mode. */
const PLAN_TOOL = "ExitPlanMode";

/** The plan in the model's call of `ExitPlanMode`. The engine does not pass it on with its question. */
export class ProposedPlan {
  /** The latest plan; empty before the first. */
  plan = "";

  /** Remembers the plan if the message contains one. */
  hear(message: SDKMessage): void {
    if (message.type !== "assistant") return;
    for (const block of message.message.content) {
      if (block.type !== "tool_use" || block.name !== PLAN_TOOL) continue;
      const { plan } = (block.input ?? {}) as { plan?: unknown };
      this.plan = typeof plan === "string" ? plan.slice(0, MAX_PLAN_CHARS) : "";
    }
  }
}

const MAX_PLAN_CHARS = 100_000;

/** The agent's built-in tools, by the engine's names. */
export function toolsOf(agent: AgentSetup, mode: PermissionMode): string[] {
  return [
    ...Object.keys(agent.tools),
    ...(agent.subAgents ? [AGENT_TOOL] : []),
    // The only way out of plan mode.
    ...(mode === "plan" ? [PLAN_TOOL] : []),
  ];
}

/** SDK options of a run that a user or client attends: tool policies, permission questions, and tools they answer. */
export function attended(
  agent: AgentSetup,
  models: EngineStart["models"],
  ask: EngineHandlers["onToolRequest"],
  folders: SessionFolders,
  proposed: ProposedPlan,
): Partial<Options> {
  return {
    mcpServers: {
      ...toServers(agent.mcpServers, models),
      ...peerTools(agent, (call, signal) => ask({ kind: "peer", ...call }, signal)),
      ...clientTools(agent.customTools, (call, signal) => ask({ kind: "client", ...call }, signal)),
      ...workerTools(agent.workerTools, (call, permission, signal) =>
        ask({ kind: "worker", permission, ...call }, signal),
      ),
    },
    ...(agent.subAgents
      ? { agents: Object.fromEntries(agent.subAgents.agents.map((each) => toDefinition(each, models))) }
      : {}),
    hooks: {
      PreToolUse: [
        {
          hooks: [
            (input) => {
              if (input.hook_event_name !== "PreToolUse") return Promise.resolve({});
              const policy = policyOf(agent, input.tool_name, input.tool_input, input.agent_type);
              if (policy === "auto") return Promise.resolve({});
              const permissionDecision = policy === "off" ? "deny" : policy;
              return Promise.resolve({ hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision } });
            },
          ],
        },
      ],
    },
    canUseTool: async (tool, input, { toolUseID, agentID, signal }) => {
      const shown = tool === PLAN_TOOL ? { ...input, plan: (await readPlan(folders)) ?? proposed.plan } : input;
      const request = { kind: "permission" as const, toolUseId: toolUseID, tool, input: shown, agentId: agentID };
      const answer = await ask(request, signal);
      if (answer.type === "allow") {
        const mode = answer.permissionMode;
        const setMode = mode && { type: "setMode" as const, mode, destination: "session" as const };
        return {
          behavior: "allow",
          updatedInput: answer.updatedInput ?? input,
          ...(setMode ? { updatedPermissions: [setMode] } : {}),
        };
      }
      return { behavior: "deny", message: answer.type === "deny" ? answer.message : "This was not allowed." };
    },
  };
}

/** How many plans are looked at. */
const MAX_PLANS = 1000;

/** The plan from the file that the engine lets the model write; null when there is none. */
async function readPlan({ config }: SessionFolders): Promise<string | null> {
  const folder = join(config, "plans");
  try {
    const names = namesIn(folder, MAX_PLANS).filter((name) => name.endsWith(".md"));
    const times = await Promise.all(
      names.map(async (name) => ({ name, at: (await lstat(join(folder, name))).mtimeMs })),
    );
    const newest = times.toSorted((a, b) => b.at - a.at)[0];
    return newest === undefined
      ? null
      : (await readHead(join(folder, newest.name), 4 * MAX_PLAN_CHARS)).slice(0, MAX_PLAN_CHARS);
  } catch {
    return null;
  }
}

type SubAgent = NonNullable<AgentSetup["subAgents"]>["agents"][number];

function toDefinition(agent: SubAgent, models: EngineStart["models"]): [string, AgentDefinition] {
  const { name, description, prompt, model, effort, tools, mcpServers } = agent;
  const definition: AgentDefinition = {
    description,
    prompt,
    model: engineModel(model),
    tools: [...Object.keys(tools), ...mcpServers.map((server) => `mcp__${server.name}`)],
    ...(effort === undefined ? {} : { effort }),
    ...(mcpServers.length === 0 ? {} : { mcpServers: [toServers(mcpServers, models)] }),
  };
  return [name, definition];
}

/**
 * MCP servers as the SDK wants them. One with a `place` is called through the Worker, which adds the credentials, so none
 * ever reaches this process.
 */
function toServers(
  servers: AgentSetup["mcpServers"],
  models: EngineStart["models"],
): Record<string, McpHttpServerConfig> {
  return Object.fromEntries(
    servers
      .filter(({ url }) => peerLimitsOf(url) === null)
      .map(({ name, url, place }) => [
        name,
        place === undefined
          ? { type: "http" as const, url }
          : {
              type: "http" as const,
              url: `${models.baseUrl}/sandbox/mcp/${place}`,
              headers: { authorization: `Bearer ${models.token}` },
            },
      ]),
  );
}

/** The policy for a tool, given the engine's name of it. `agentType` is set when a sub-agent makes the call. */
export function policyOf(agent: AgentSetup, tool: string, input: unknown, agentType?: string): ToolPolicy | "off" {
  if (tool === AGENT_TOOL) return mayStart(agent, input) && agentType === undefined ? "allow" : "off";
  const sub = agent.subAgents?.agents.find((each) => each.name === agentType);
  if (tool.startsWith(CUSTOM_PREFIX)) return sub ? "off" : "allow";
  if (agent.workerTools && tool.startsWith(WORKER_PREFIX)) return agentType === undefined ? "allow" : "off";
  const { mcpServers, tools: builtIn } = sub ?? agent;
  for (const { name, policy, tools } of mcpServers) {
    const prefix = `mcp__${name}__`;
    if (tool.startsWith(prefix)) return tools[tool.slice(prefix.length)] ?? policy;
  }
  return builtIn[tool] ?? "auto";
}

/** Whether the agent may start this sub-agent: one of its own, or any other where its set-up allows those. */
function mayStart({ subAgents }: AgentSetup, input: unknown): boolean {
  if (!subAgents) return false;
  const kind = typeof input === "object" && input !== null ? (input as Record<string, unknown>)["subagent_type"] : null;
  return subAgents.inline || subAgents.agents.some((each) => each.name === kind);
}
