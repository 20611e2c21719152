import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import { noThreads } from "./threads.ts";
import type { ThreadState } from "./threads.ts";
import { isServerTool } from "./tool-names.ts";

/** What the translation remembers between the messages of one run. */
export interface TranslateState {
  /** The model request in progress. `id` is the id of its start event. */
  readonly span: { readonly id: string; readonly messageId: string; readonly usage: ModelUsage } | null;
  /** Previews of the current message whose final event has not come yet, in the order of their blocks. */
  readonly previews: readonly {
    readonly id: string;
    readonly type: "agent.message" | "agent.thinking";
    readonly block: number;
  }[];
  /** Event id of each tool call, by the model's id of the call. */
  readonly toolCalls: Readonly<Record<string, string>>;
  /** Event ids of the calls to MCP servers. */
  readonly mcpCalls: readonly string[];
  /** The agent's latest text. It is the run's result when the engine reports none. */
  readonly lastText: string;
  /** Ids of background tasks that are still running in the engine. */
  readonly backgroundTasks: readonly string[];
  /** The engine's sub-agents. */
  readonly threads: ThreadState;
}

export const initialState: TranslateState = {
  span: null,
  previews: [],
  toolCalls: {},
  mcpCalls: [],
  lastText: "",
  backgroundTasks: [],
  threads: noThreads("sthr_0"),
};

/** The state for the next run: the engine may still mention calls, background tasks and sub-agents of the last one. */
export function betweenRuns({ toolCalls, mcpCalls, backgroundTasks, threads }: TranslateState): TranslateState {
  return { ...initialState, toolCalls, mcpCalls, backgroundTasks, threads };
}

/** An event with its id, and the thread it happened on unless that is the primary one. */
export type TranslatedEvent = RunnerEvent & { readonly id: string; readonly thread?: string };

/** Events, and the state after them. */
export interface Translation {
  readonly state: TranslateState;
  readonly events: readonly TranslatedEvent[];
}

/** A message of the engine of one type. */
export type MessageOf<T extends SDKMessage["type"]> = Extract<SDKMessage, { type: T }>;

/** Adds calls that an earlier engine reported, because a resumed engine will mention them again. */
export function withCalls(
  state: TranslateState,
  calls: readonly { readonly call: string; readonly toolUseId: string; readonly tool: string }[],
): TranslateState {
  const named = Object.fromEntries(calls.map(({ call, toolUseId }) => [call, toolUseId]));
  const mcp = calls.filter(({ tool }) => isServerTool(tool)).map(({ toolUseId }) => toolUseId);
  return { ...state, toolCalls: { ...state.toolCalls, ...named }, mcpCalls: [...state.mcpCalls, ...mcp] };
}

/** The event id of a tool call. The engine may ask about a call before its message has been read. */
export function nameToolCall(
  state: TranslateState,
  toolUseId: string,
  newId: () => string,
): { state: TranslateState; id: string } {
  const known = state.toolCalls[toolUseId];
  if (known !== undefined) return { state, id: known };
  const id = newId();
  return { state: { ...state, toolCalls: { ...state.toolCalls, [toolUseId]: id } }, id };
}
