import type { BetaManagedAgentsSessionAgent } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { WorkerTool } from "@gantry/protocol/agent-setup.ts";
import type { AgentSetup, ToolPolicy } from "@gantry/protocol/agent-setup.ts";
import type { PermissionMode } from "@gantry/protocol/permission-mode.ts";
import { peerLimitsOf } from "@gantry/protocol/peers.ts";
import { rosterOf, serversOf } from "./session-agent.ts";

/** The part of a session's agent that the engine gets. Every field is optional: a session may have no agent. */
export interface EngineSetup {
  readonly model?: string;
  readonly system?: string;
  readonly effort?: "low" | "medium" | "high" | "xhigh" | "max";
  readonly tools?: AgentSetup;
  /** For prompts that name no permission mode. */
  readonly permissionMode?: PermissionMode;
}

/** Built-in tools: name in the Managed Agents API → name in the engine. */
export const ENGINE_TOOLS: Readonly<Record<string, string>> = {
  bash: "Bash",
  edit: "Edit",
  read: "Read",
  write: "Write",
  glob: "Glob",
  grep: "Grep",
  web_fetch: "WebFetch",
  web_search: "WebSearch",
};

const POLICY: Readonly<Record<string, ToolPolicy>> = { always_allow: "allow", always_ask: "ask", auto: "auto" };

/** The setup for a session with vaults: calls to MCP servers go through the Worker, which adds the credentials. */
export function throughVaults(engine: EngineSetup, agent: BetaManagedAgentsSessionAgent): EngineSetup {
  if (!engine.tools) return engine;
  const all = serversOf(agent);
  const numbered = (servers: AgentSetup["mcpServers"]): AgentSetup["mcpServers"] =>
    servers.map((server) =>
      peerLimitsOf(server.url) === null
        ? { ...server, place: all.findIndex((each) => each.url === server.url) }
        : server,
    );
  const { mcpServers, subAgents } = engine.tools;
  return {
    ...engine,
    tools: {
      ...engine.tools,
      mcpServers: numbered(mcpServers),
      ...(subAgents === undefined
        ? {}
        : {
            subAgents: {
              ...subAgents,
              agents: subAgents.agents.map((each) => ({ ...each, mcpServers: numbered(each.mcpServers) })),
            },
          }),
    },
  };
}

/** Name under which the engine sees the tools of a self-hosted environment. No MCP server of the agent may have it. */
export const WORKER_SERVER = "self_hosted";

/** The setup for a self-hosted environment: the worker runs the file and shell tools, and the engine has none itself. */
export function onWorker(engine: EngineSetup): EngineSetup {
  if (!engine.tools) return engine;
  const here = { ...engine.tools.tools };
  const workerTools: AgentSetup["workerTools"] = {};
  for (const name of WorkerTool.options) {
    const policy = here[ENGINE_TOOLS[name] ?? ""];
    delete here[ENGINE_TOOLS[name] ?? ""];
    // The engine cannot judge a call that runs elsewhere, so `auto` becomes `ask`.
    if (policy !== undefined) workerTools[name] = policy === "allow" ? "allow" : "ask";
  }
  return { ...engine, tools: { ...engine.tools, tools: here, workerTools } };
}

/** The engine's part of an agent: model, system prompt, and tools with their policies. */
export function toEngineSetup(agent: BetaManagedAgentsSessionAgent): EngineSetup {
  const { model, system } = agent;
  return {
    model: model.id,
    ...(system === null ? {} : { system }),
    ...(model.effort === undefined ? {} : { effort: model.effort.type }),
    tools: { ...toToolSetup(agent), ...toSubAgents(agent) },
  };
}

/** The agents that this one may start. They become agent types of the engine's own Agent tool. */
function toSubAgents(agent: BetaManagedAgentsSessionAgent): Pick<AgentSetup, "subAgents"> {
  const { agents, inline } = rosterOf(agent);
  if (agents.length === 0 && !inline) return {};
  const roster = agents.map((each) => {
    const { tools, mcpServers } = toToolSetup(each);
    return {
      name: each.name,
      description: each.description ?? each.name,
      prompt: each.system ?? `You are ${each.name}.`,
      model: each.model.id,
      ...(each.model.effort === undefined ? {} : { effort: each.model.effort.type }),
      tools,
      mcpServers,
    };
  });
  return { subAgents: { agents: roster, inline } };
}

function toToolSetup({ tools, mcp_servers }: Pick<BetaManagedAgentsSessionAgent, "tools" | "mcp_servers">): AgentSetup {
  const builtIn: Record<string, ToolPolicy> = {};
  const customTools: AgentSetup["customTools"] = [];
  for (const tool of tools) {
    if (tool.type === "agent_toolset_20260401") {
      for (const [name, engineName] of Object.entries(ENGINE_TOOLS)) {
        const config = tool.configs.find((each) => each.name === name) ?? tool.default_config;
        const policy = policyOf(config);
        if (policy !== "off") builtIn[engineName] = policy;
      }
    } else if (tool.type === "custom") {
      customTools.push({ name: tool.name, description: tool.description, inputSchema: tool.input_schema });
    }
  }
  const mcpServers = mcp_servers.flatMap(({ name, url }) => {
    const toolset = tools.find((tool) => tool.type === "mcp_toolset" && tool.mcp_server_name === name);
    // A server whose tools the agent does not list is not connected.
    if (toolset?.type !== "mcp_toolset") return [];
    const named = toolset.configs.map((config) => [config.name, policyOf(config)] as const);
    return [{ name, url, policy: policyOf(toolset.default_config), tools: Object.fromEntries(named) }];
  });
  return { tools: builtIn, mcpServers, customTools };
}

function policyOf(config: { enabled: boolean; permission_policy: { type: string } }): ToolPolicy | "off" {
  return config.enabled ? (POLICY[config.permission_policy.type] ?? "ask") : "off";
}
