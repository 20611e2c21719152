import manifest from "@gantry/runner/package.json" with { type: "json" };
import type { ClientResultBlock } from "@gantry/protocol/event.ts";
import type { AgentSetup, ToolAnswer } from "@gantry/protocol/link.ts";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

/** Name under which the engine sees the tools that the client answers: `mcp__client__NAME`. */
const SERVER = "client";

/** Answers a call of the engine; resolves when the client has. */
export type Ask = (call: ClientCall, signal: AbortSignal) => Promise<ToolAnswer>;

/** A call of one of the client's tools. */
export interface ClientCall {
  readonly toolUseId: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
}

/**
 * Custom tools as an MCP server inside this process: the engine calls, and the answer comes from the client over the
 * session's log. The low-level server is used because their schemas are JSON Schema already.
 */
export function clientTools(
  tools: AgentSetup["customTools"],
  ask: Ask,
): Record<string, { type: "sdk"; name: string; instance: McpServer }> {
  if (tools.length === 0) return {};
  const instance = new McpServer({ name: SERVER, version: manifest.version }, { capabilities: { tools: {} } });
  instance.server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: tools.map(({ name, description, inputSchema }) => ({
      name,
      description,
      inputSchema: { ...inputSchema, type: "object" as const },
    })),
  }));
  instance.server.setRequestHandler(CallToolRequestSchema, async (request, { signal }) => {
    const toolUseId = request.params._meta?.["claudecode/toolUseId"];
    if (typeof toolUseId !== "string") throw new Error("the engine did not say which call this is");
    const answer = await ask({ toolUseId, tool: request.params.name, input: request.params.arguments ?? {} }, signal);
    return toCallResult(answer, "The client did not answer this tool.");
  });
  return { [SERVER]: { type: "sdk", name: SERVER, instance } };
}

/** An answer as MCP has it. */
export function toCallResult(answer: ToolAnswer, unanswered: string) {
  if (answer.type !== "result") return { content: [{ type: "text" as const, text: unanswered }], isError: true };
  return { content: answer.content.map(toMcp), isError: answer.isError };
}

/** A block as MCP has it; what it has no kind for becomes text. */
function toMcp(
  block: ClientResultBlock,
): { type: "text"; text: string } | { type: "image"; data: string; mimeType: string } {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text };
    case "image":
      return block.source.type === "base64"
        ? { type: "image", data: block.source.data, mimeType: block.source.media_type }
        : { type: "text", text: block.source.url };
    case "document":
      return {
        type: "text",
        text: [block.title, block.context, block.source.data].filter((part) => part).join("\n\n"),
      };
    case "search_result":
      return {
        type: "text",
        text: [block.title, block.source, ...block.content.map((part) => part.text)].join("\n\n"),
      };
    default:
      return block satisfies never;
  }
}
