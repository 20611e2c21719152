import { z } from "zod";

/**
 * How a tool call is approved. `allow`: it always runs. `ask`: the client decides. `auto`: the permission mode decides, and
 * the client decides on calls that the mode does not allow.
 */
export const ToolPolicy = z.enum(["allow", "ask", "auto"]);
export type ToolPolicy = z.infer<typeof ToolPolicy>;

/** An MCP server of an agent. `off` hides a tool from the agent. */
const McpSetup = z.object({
  name: z.string(),
  url: z.string(),
  policy: ToolPolicy.or(z.literal("off")),
  tools: z.record(z.string(), ToolPolicy.or(z.literal("off"))),
  /** Index in `/sandbox/mcp/` of a server that the engine reaches through the Worker, which adds the credential. */
  place: z.number().int().optional(),
});

/** A sub-agent that the main agent may start by name. */
const SubAgentSetup = z.object({
  name: z.string(),
  description: z.string(),
  prompt: z.string(),
  model: z.string(),
  effort: z.enum(["low", "medium", "high", "xhigh", "max"]).optional(),
  tools: z.record(z.string(), ToolPolicy),
  mcpServers: z.array(McpSetup),
});

/** Tools that the worker of a self-hosted environment carries out. */
export const WorkerTool = z.enum(["bash", "read", "write", "edit", "glob", "grep"]);
export type WorkerTool = z.infer<typeof WorkerTool>;

/**
 * A configured agent, in the engine's terms. A run with an agent is attended: a call that is not allowed waits for the
 * client's approval (`approval.requested`). Without an agent such a call is refused, because no client would answer.
 */
export const AgentSetup = z.object({
  /** Built-in tools by the engine's names. The agent has no other built-in tools. */
  tools: z.record(z.string(), ToolPolicy),
  /** MCP servers that the engine calls, each with a policy for all its tools and exceptions by tool name. */
  mcpServers: z.array(McpSetup),
  /** Tools that the client answers. */
  customTools: z.array(
    z.object({ name: z.string(), description: z.string(), inputSchema: z.record(z.string(), z.unknown()) }),
  ),
  /**
   * Built-in tools that a worker carries out on the user's machine, by their names in Managed Agents. `ask`: only after the
   * client has allowed the call. Absent: none.
   */
  workerTools: z.partialRecord(WorkerTool, z.enum(["allow", "ask"])).optional(),
  /** Sub-agents. `inline`: the agent may also start the engine's own kinds. Absent: no sub-agents. */
  subAgents: z.object({ agents: z.array(SubAgentSetup), inline: z.boolean() }).optional(),
});
export type AgentSetup = z.infer<typeof AgentSetup>;
