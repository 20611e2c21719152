import { z } from "zod";

/**
 * Who decides whether a tool may run. `allow`: nobody, it runs. `ask`: the client. `auto`: the permission mode, and the
 * client where the mode does not allow the call.
 */
export const ToolPolicy = z.enum(["allow", "ask", "auto"]);
export type ToolPolicy = z.infer<typeof ToolPolicy>;

/** An MCP server of an agent. `off` hides a tool. */
const McpSetup = z.object({
  name: z.string(),
  url: z.string(),
  policy: ToolPolicy.or(z.literal("off")),
  tools: z.record(z.string(), ToolPolicy.or(z.literal("off"))),
  /** The engine reaches it through the Worker, which adds the credential: its index in `/sandbox/mcp/`. */
  place: z.number().int().optional(),
});

/** A sub-agent that the main agent may start by its name. */
const SubAgentSetup = z.object({
  name: z.string(),
  description: z.string(),
  prompt: z.string(),
  model: z.string(),
  effort: z.enum(["low", "medium", "high", "xhigh", "max"]).optional(),
  tools: z.record(z.string(), ToolPolicy),
  mcpServers: z.array(McpSetup),
});

/** Tools of a self-hosted environment, which its worker carries out. */
export const WorkerTool = z.enum(["bash", "read", "write", "edit", "glob", "grep"]);
export type WorkerTool = z.infer<typeof WorkerTool>;

/**
 * A configured agent, as the engine needs it. A run with an agent is attended: a call that is not allowed is asked for
 * (`approval.requested`) and waits. Without an agent such a call is refused, because nobody would answer.
 */
export const AgentSetup = z.object({
  /** Built-in tools by the engine's names. A tool that is not named does not exist for the agent. */
  tools: z.record(z.string(), ToolPolicy),
  /** MCP servers that the engine calls, with a policy for all their tools and for single ones by name. */
  mcpServers: z.array(McpSetup),
  /** Tools that the client answers. */
  customTools: z.array(
    z.object({ name: z.string(), description: z.string(), inputSchema: z.record(z.string(), z.unknown()) }),
  ),
  /**
   * Built-in tools, by their names in Managed Agents, that a worker carries out on the user's machine. `ask`: only after
   * the client has allowed the call. Absent: none.
   */
  workerTools: z.partialRecord(WorkerTool, z.enum(["allow", "ask"])).optional(),
  /** Sub-agents by name, and whether the engine's own kinds may be started too. Absent: none. */
  subAgents: z.object({ agents: z.array(SubAgentSetup), inline: z.boolean() }).optional(),
});
export type AgentSetup = z.infer<typeof AgentSetup>;
