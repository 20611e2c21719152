import manifest from "@gantry/runner/package.json" with { type: "json" };
import { WorkerTool } from "@gantry/protocol/agent-setup.ts";
import type { AgentSetup } from "@gantry/protocol/agent-setup.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { toCallResult } from "./client-tools.ts";
import type { ClientCall } from "./client-tools.ts";
import { clipInput } from "../translate/clip.ts";

/** The server's name. The engine calls its tools `mcp__self_hosted__bash` and so on. */
const SERVER = "self_hosted";

const text = (description: string) => ({ type: "string", description });

/** Descriptions for the model, and the input that the worker in Anthropic's client accepts. */
const TOOLS: Readonly<
  Record<WorkerTool, { description: string; properties: Record<string, object>; required: readonly string[] }>
> = {
  bash: {
    description:
      "Runs a command in the environment's shell. The shell keeps its working directory and variables between calls.",
    properties: {
      command: text("The command"),
      restart: { type: "boolean", description: "Start a new shell" },
      timeout_ms: { type: "integer", description: "Time limit in milliseconds" },
    },
    required: [],
  },
  read: {
    description: "Reads a text file of the environment.",
    properties: {
      file_path: text("Its path, relative to the working directory"),
      view_range: {
        type: "array",
        items: { type: "integer" },
        description: "The first and the last line to show, counted from 1",
      },
    },
    required: ["file_path"],
  },
  write: {
    description: "Writes a text file in the environment, creating missing folders.",
    properties: { file_path: text("Its path, relative to the working directory"), content: text("The whole new text") },
    required: ["file_path", "content"],
  },
  edit: {
    description:
      "Replaces a text in a file of the environment. The text must occur exactly once, unless replace_all is set.",
    properties: {
      file_path: text("Its path, relative to the working directory"),
      old_string: text("The text to replace"),
      new_string: text("The new text"),
      replace_all: { type: "boolean", description: "Replace every occurrence" },
    },
    required: ["file_path", "old_string", "new_string"],
  },
  glob: {
    description: "Finds files of the environment by a pattern, newest first.",
    properties: { pattern: text("The pattern, such as **/*.ts"), path: text("The folder to look in") },
    required: ["pattern"],
  },
  grep: {
    description: "Finds lines in files of the environment by a regular expression.",
    properties: { pattern: text("The regular expression"), path: text("The file or folder to look in") },
    required: ["pattern"],
  },
};

/** Passes a call to the worker; resolves with its answer. */
type Ask = (call: ClientCall, permission: "allow" | "ask", signal: AbortSignal) => Promise<ToolAnswer>;

/**
 * The built-in tools of a self-hosted environment, as an MCP server inside this process: the engine's call becomes an event,
 * and the worker, which reads the log, executes it where the user's files are.
 */
export function workerTools(
  tools: AgentSetup["workerTools"],
  ask: Ask,
): Record<string, { type: "sdk"; name: string; instance: McpServer }> {
  const names = WorkerTool.options.filter((name) => tools?.[name] !== undefined);
  if (names.length === 0) return {};
  const instance = new McpServer({ name: SERVER, version: manifest.version }, { capabilities: { tools: {} } });
  instance.server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: names.map((name) => {
      const { description, properties, required } = TOOLS[name];
      return { name, description, inputSchema: { type: "object" as const, properties, required: [...required] } };
    }),
  }));
  instance.server.setRequestHandler(CallToolRequestSchema, async (request, { signal }) => {
    const toolUseId = request.params._meta?.["claudecode/toolUseId"];
    if (typeof toolUseId !== "string") throw new Error("the engine did not say which call this is");
    const name = names.find((each) => each === request.params.name);
    if (name === undefined) throw new Error(`there is no tool ${request.params.name}`);
    const input = request.params.arguments ?? {};
    // The worker executes what the event says, and events are limited in size. It must not write half a file.
    if (clipInput(input) !== input)
      return {
        content: [{ type: "text" as const, text: "This is too long for one call. Do it in parts." }],
        isError: true,
      };
    const answer = await ask({ toolUseId, tool: name, input }, tools?.[name] ?? "ask", signal);
    return toCallResult(answer, "The environment did not answer this call.");
  });
  return { [SERVER]: { type: "sdk", name: SERVER, instance } };
}
