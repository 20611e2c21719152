import manifest from "@gantry/runner/package.json" with { type: "json" };
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { AgentSetup } from "@gantry/protocol/agent-setup.ts";
import { PEER_TOOLS, PEER_TOOL_HELP, PeerTool, peerServerOf } from "@gantry/protocol/peers.ts";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import { toCallResult } from "./client-tools.ts";
import type { Ask } from "./client-tools.ts";

/**
 * The tools by which an agent starts other sessions and sends them messages. They only pass the call on. The session executes
 * it outside the sandbox, where limits and permissions are checked.
 */
export function peerTools(
  agent: AgentSetup,
  ask: Ask,
): Record<string, { type: "sdk"; name: string; instance: McpServer }> {
  const peer = peerServerOf(agent);
  if (!peer) return {};
  const { name } = peer.server;
  const instance = new McpServer({ name, version: manifest.version }, { capabilities: { tools: {} } });
  instance.server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: PeerTool.options.map((tool) => ({
      name: tool,
      description: PEER_TOOL_HELP[tool],
      inputSchema: { ...z.toJSONSchema(PEER_TOOLS[tool], { io: "input" }), type: "object" as const },
    })),
  }));
  instance.server.setRequestHandler(CallToolRequestSchema, async (request, { signal }) => {
    const toolUseId = request.params._meta?.["claudecode/toolUseId"];
    if (typeof toolUseId !== "string") throw new Error("the engine did not say which call this is");
    if (!PeerTool.safeParse(request.params.name).success) throw new Error(`there is no tool ${request.params.name}`);
    const call = { toolUseId, tool: request.params.name, input: request.params.arguments ?? {} };
    const answer: ToolAnswer = await ask(call, signal);
    return toCallResult(answer, "This was not done: the run was stopped.");
  });
  return { [name]: { type: "sdk", name, instance } };
}
