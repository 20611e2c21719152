import manifest from "@gantry/runner/package.json" with { type: "json" };
import type { ClientResultBlock } from "@gantry/protocol/content.ts";
import type { AgentSetup } from "@gantry/protocol/agent-setup.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

/** The server's name. The engine calls its tools `mcp__client__NAME`. */
const SERVER = "client";

/** Passes a call on; resolves with its answer. */
export type Ask = (call: ClientCall, signal: AbortSignal) => Promise<ToolAnswer>;

/** A call of a tool that is answered outside the sandbox. `toolUseId` is the model's id of the call. */
export interface ClientCall {
  readonly toolUseId: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
}

/**
 * The custom tools as an MCP server inside this process: the engine calls a tool, and the client answers through the session's
 * log. This uses the low-level request handlers because the tools' schemas are JSON Schema already.
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

/** Converts an answer to an MCP result; `unanswered` is the text when there was no result. */
export function toCallResult(answer: ToolAnswer, unanswered: string) {
  if (answer.type !== "result") return { content: [{ type: "text" as const, text: unanswered }], isError: true };
  return { content: answer.content.map(toMcp), isError: answer.isError };
}

/** Converts a block to MCP; kinds that MCP lacks become text. */
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
