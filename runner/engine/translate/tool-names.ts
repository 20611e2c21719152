/** The engine's names of tools that are not its own. */

/** An MCP server's tool: server, then tool. */
export const MCP_TOOL = /^mcp__(.+?)__(.+)$/;

/** Prefix of the custom tools, which the client answers. */
export const CUSTOM_PREFIX = "mcp__client__";

/** Prefix of the tools that the worker of a self-hosted environment executes. */
export const WORKER_PREFIX = "mcp__self_hosted__";

/** Whether a client or a worker answers a tool, given the engine's name of it. */
export function isAnsweredElsewhere(tool: string): boolean {
  return tool.startsWith(CUSTOM_PREFIX) || tool.startsWith(WORKER_PREFIX);
}

/** Whether a tool, given the engine's name of it, belongs to an MCP server. */
export function isServerTool(tool: string): boolean {
  return !isAnsweredElsewhere(tool) && MCP_TOOL.test(tool);
}
