import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ModelUsage, RunEnded, RunError, RunnerEvent } from "@gantry/protocol/event.ts";
import { clip, clipInput, toResultContent } from "./translate/clip.ts";
import { closeThreads, noThreads, onTaskEnded, onTaskStarted, threadOf } from "./translate/threads.ts";
import type { ThreadState } from "./translate/threads.ts";

/**
 * SDK message → events, as a pure function over a small state. It never throws: the engine sends message types that
 * are in no declaration file, and a run must not die of one that we do not know.
 */

/** What the translation remembers between messages of one run. */
export interface TranslateState {
  /** The model request in progress. */
  readonly span: { readonly id: string; readonly messageId: string; readonly usage: ModelUsage } | null;
  /** Previews that were opened for the message in progress and have no event yet, in order of their blocks. */
  readonly previews: readonly {
    readonly id: string;
    readonly type: "agent.message" | "agent.thinking";
    readonly block: number;
  }[];
  /** Event id of each tool call, by the id the model gave it. */
  readonly toolCalls: Readonly<Record<string, string>>;
  /** Event ids of the calls that went to an MCP server. */
  readonly mcpCalls: readonly string[];
  /** Last text the agent wrote: the result where the engine gives none. */
  readonly lastText: string;
  /** Ids of background tasks still running in the engine. */
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

/** What outlives a run: the engine may speak of its calls, background tasks and sub-agents in the next one. */
export function betweenRuns({ toolCalls, mcpCalls, backgroundTasks, threads }: TranslateState): TranslateState {
  return { ...initialState, toolCalls, mcpCalls, backgroundTasks, threads };
}

/** An event, the id other events refer to it by, and the thread it happened on if that is not the primary one. */
export type TranslatedEvent = RunnerEvent & { readonly id: string; readonly thread?: string };

export interface Translation {
  readonly state: TranslateState;
  readonly events: readonly TranslatedEvent[];
}

/** @param newId makes a fresh event id; an argument so that tests can count. */
export function translate(state: TranslateState, message: SDKMessage, newId: () => string): Translation {
  switch (message.type) {
    case "stream_event":
      return fromStream(state, message, newId);
    case "assistant":
      return fromAssistant(state, message, newId);
    case "user":
      return fromUser(state, message, newId);
    case "system":
      return fromSystem(state, message, newId);
    case "result":
      return fromResult(state, message, newId);
    default:
      return { state, events: [] };
  }
}

type Of<T extends SDKMessage["type"]> = Extract<SDKMessage, { type: T }>;

const NO_USAGE: ModelUsage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
};

function toUsage(usage: object | null | undefined, before: ModelUsage = NO_USAGE): ModelUsage {
  const given = (usage ?? {}) as Record<string, unknown>;
  const pick = (key: keyof ModelUsage): number => (typeof given[key] === "number" ? given[key] : before[key]);
  return {
    input_tokens: pick("input_tokens"),
    output_tokens: pick("output_tokens"),
    cache_creation_input_tokens: pick("cache_creation_input_tokens"),
    cache_read_input_tokens: pick("cache_read_input_tokens"),
  };
}

/** Ends a model request that never finished: what the previews showed is not going to be confirmed. */
function closeSpan(state: TranslateState, newId: () => string, isError: boolean): Translation {
  if (!state.span) return { state, events: [] };
  const { id, usage } = state.span;
  return {
    state: { ...state, span: null, previews: [] },
    events: [
      {
        type: "span.model_request_end",
        id: newId(),
        model_request_start_id: id,
        is_error: isError,
        model_usage: usage,
      },
    ],
  };
}

function fromStream(state: TranslateState, message: Of<"stream_event">, newId: () => string): Translation {
  // A sub-agent's stream would interleave with the main one; its finished messages are enough.
  if (message.parent_tool_use_id !== null) return { state, events: [] };
  const event = message.event;
  switch (event.type) {
    case "message_start": {
      const closed = closeSpan(state, newId, true);
      const id = newId();
      return {
        state: {
          ...closed.state,
          span: { id, messageId: event.message.id, usage: toUsage(event.message.usage) },
          previews: [],
        },
        events: [...closed.events, { type: "span.model_request_start", id, model: event.message.model }],
      };
    }
    case "content_block_start": {
      const kind = event.content_block.type;
      if (kind !== "text" && kind !== "thinking") return { state, events: [] };
      const type = kind === "text" ? "agent.message" : "agent.thinking";
      const id = newId();
      return {
        state: { ...state, previews: [...state.previews, { id, type, block: event.index }] },
        events: [{ type: "event_start", id: newId(), event: { type, id } }],
      };
    }
    case "content_block_delta": {
      const preview = state.previews.find((p) => p.block === event.index);
      if (event.delta.type !== "text_delta" || preview?.type !== "agent.message") return { state, events: [] };
      const content = { type: "text" as const, text: event.delta.text };
      return {
        state,
        events: [
          {
            type: "event_delta",
            id: newId(),
            event_id: preview.id,
            delta: { type: "content_delta", index: 0, content },
          },
        ],
      };
    }
    case "message_delta":
      if (!state.span) return { state, events: [] };
      return {
        state: { ...state, span: { ...state.span, usage: toUsage(event.usage, state.span.usage) } },
        events: [],
      };
    case "message_stop":
      // The engine closes a stream that was cut as if it had ended, and says so in a field that no declaration has.
      return closeSpan(state, newId, "abandoned_blocks" in message);
    default:
      return { state, events: [] };
  }
}

function fromAssistant(state: TranslateState, message: Of<"assistant">, newId: () => string): Translation {
  // With `error` this is the engine's own wording of a failed request; the result says it again, with its status.
  if (message.error) return { state, events: [] };
  let next = state;
  const events: TranslatedEvent[] = [];
  const parent = message.parent_tool_use_id === null ? undefined : state.toolCalls[message.parent_tool_use_id];
  const thread = threadOf(state.threads, message);
  const on = thread === undefined ? {} : { thread };
  const under = { ...on, ...(parent === undefined ? {} : { parent_tool_use_id: parent }) };
  const isInner = parent !== undefined || thread !== undefined;
  const claimPreview = (type: "agent.message" | "agent.thinking"): string => {
    const found = !isInner ? next.previews.find((p) => p.type === type) : undefined;
    if (!found) return newId();
    next = { ...next, previews: next.previews.filter((p) => p !== found) };
    return found.id;
  };
  for (const block of message.message.content) {
    if (block.type === "text") {
      if (block.text === "") continue;
      events.push({
        type: "agent.message",
        id: claimPreview("agent.message"),
        content: [{ type: "text", text: clip(block.text) }],
        ...under,
      });
      if (!isInner) next = { ...next, lastText: block.text };
    } else if (block.type === "thinking") {
      const thinking = clip(block.thinking);
      events.push({ type: "agent.thinking", id: claimPreview("agent.thinking"), thinking, ...on });
    } else if (block.type === "tool_use") {
      const named = nameToolCall(next, block.id, newId);
      next = named.state;
      if (thread !== undefined)
        next = {
          ...next,
          threads: { ...next.threads, callers: { ...next.threads.callers, [block.id]: thread } },
        };
      const { id } = named;
      // Told when the engine calls it: only then does it wait for its answer.
      if (isAnsweredElsewhere(block.name)) continue;
      const mcp = MCP_TOOL.exec(block.name);
      if (mcp?.[1] !== undefined && mcp[2] !== undefined) {
        next = { ...next, mcpCalls: [...next.mcpCalls, id] };
        events.push({
          type: "agent.mcp_tool_use",
          id,
          mcp_server_name: mcp[1],
          name: mcp[2],
          input: clipInput(block.input),
          ...on,
        });
        continue;
      }
      events.push({ type: "agent.tool_use", id, name: block.name, input: clipInput(block.input), ...under });
    }
  }
  return { state: next, events };
}

/** How the engine calls a tool of an MCP server. */
const MCP_TOOL = /^mcp__(.+?)__(.+)$/;

/** How the engine calls the tools that the client answers. */
export const CUSTOM_PREFIX = "mcp__client__";

/** How the engine calls the tools that the worker of a self-hosted environment carries out. */
export const WORKER_PREFIX = "mcp__self_hosted__";

/** Whether a tool, by the engine's name for it, is carried out by a client or a worker. */
function isAnsweredElsewhere(tool: string): boolean {
  return tool.startsWith(CUSTOM_PREFIX) || tool.startsWith(WORKER_PREFIX);
}

/** With calls that another engine spoke of: this one will speak of them again. */
export function withCalls(
  state: TranslateState,
  calls: readonly { readonly call: string; readonly toolUseId: string; readonly tool: string }[],
): TranslateState {
  const named = Object.fromEntries(calls.map(({ call, toolUseId }) => [call, toolUseId]));
  const mcp = calls.filter(({ tool }) => isServerTool(tool)).map(({ toolUseId }) => toolUseId);
  return { ...state, toolCalls: { ...state.toolCalls, ...named }, mcpCalls: [...state.mcpCalls, ...mcp] };
}

/** Whether a tool, by the engine's name for it, is one of an MCP server's and not the client's own. */
export function isServerTool(tool: string): boolean {
  return !isAnsweredElsewhere(tool) && MCP_TOOL.test(tool);
}

/** The event id of a tool call; the engine may ask about a call before its message has been read. */
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

function fromUser(state: TranslateState, message: Of<"user">, newId: () => string): Translation {
  const content = message.message.content;
  if (typeof content === "string") return { state, events: [] };
  const events: TranslatedEvent[] = [];
  const thread = threadOf(state.threads, message);
  const on = thread === undefined ? {} : { thread };
  for (const block of content) {
    if (block.type !== "tool_result") continue;
    const toolUseId = state.toolCalls[block.tool_use_id];
    if (toolUseId === undefined) continue;
    const results = toResultContent(block.content);
    const isError = block.is_error === true;
    if (state.mcpCalls.includes(toolUseId)) {
      events.push({
        type: "agent.mcp_tool_result",
        id: newId(),
        mcp_tool_use_id: toolUseId,
        content: results,
        is_error: isError,
        ...on,
      });
    } else {
      events.push({
        type: "agent.tool_result",
        id: newId(),
        tool_use_id: toolUseId,
        content: results,
        is_error: isError,
        ...on,
      });
    }
  }
  return { state, events };
}

function fromSystem(state: TranslateState, message: Of<"system">, newId: () => string): Translation {
  switch (message.subtype) {
    case "permission_denied": {
      const toolUseId = state.toolCalls[message.tool_use_id] ?? null;
      return {
        state,
        events: [
          {
            type: "permission.denied",
            id: newId(),
            tool_use_id: toolUseId,
            tool: message.tool_name,
            message: clip(message.message),
          },
        ],
      };
    }
    case "api_retry": {
      const closed = closeSpan(state, newId, true);
      const error = {
        type: errorTypeOf(message.error_status),
        message: `The model's API failed (${message.error_status ?? "no answer"}); try ${message.attempt} of ${message.max_retries} in ${Math.round(message.retry_delay_ms)} ms.`,
        retry_status: { type: "retrying" as const },
        upstream_status: message.error_status,
      };
      return { state: closed.state, events: [...closed.events, { type: "session.error", id: newId(), error }] };
    }
    case "compact_boundary":
      return { state, events: [{ type: "agent.thread_context_compacted", id: newId() }] };
    case "task_started": {
      const call = message.tool_use_id === undefined ? null : (state.toolCalls[message.tool_use_id] ?? null);
      const { threads, events } = onTaskStarted(state.threads, message, call, newId);
      return { state: { ...state, threads }, events };
    }
    case "task_notification": {
      const { threads, events } = onTaskEnded(state.threads, message, newId);
      return { state: { ...state, threads }, events };
    }
    case "background_tasks_changed":
      return { state: { ...state, backgroundTasks: message.tasks.map((task) => task.task_id) }, events: [] };
    default:
      return { state, events: [] };
  }
}

function fromResult(state: TranslateState, message: Of<"result">, newId: () => string): Translation {
  const closed = closeSpan(state, newId, true);
  // The engine had something of its own to do (a background task ended), or more input is queued in it: the prompt's
  // own result is still to come.
  const isOwnErrand = message.origin !== undefined && message.origin.kind !== "human";
  if (isOwnErrand) return { ...closed, state: { ...closed.state, lastText: "" } };
  if ((message.queued_turn_count ?? 0) > 0) return closed;
  const failure = failureOf(message);
  const events: TranslatedEvent[] = [...closed.events];
  if (failure?.type === "upstream_error") {
    const status = failure.upstream_status ?? null;
    events.push({
      type: "session.error",
      id: newId(),
      error: {
        type: errorTypeOf(status),
        message: failure.message,
        retry_status: { type: "exhausted" },
        upstream_status: status,
      },
    });
  }
  const interrupted = wasInterrupted(message);
  const result = message.subtype === "success" && !message.is_error ? message.result || state.lastText : state.lastText;
  const ended: RunEnded & { id: string } = {
    type: "run.ended",
    id: newId(),
    outcome: interrupted ? "interrupted" : failure ? "failed" : "succeeded",
    result: clip(result),
    error: interrupted ? null : failure,
    usage: toUsage(message.usage),
    num_turns: message.num_turns,
    duration_ms: message.duration_ms,
  };
  const { threads, events: over } = closeThreads(closed.state.threads, closed.state.backgroundTasks, newId);
  return { state: betweenRuns({ ...closed.state, threads }), events: [...events, ...over, ended] };
}

function wasInterrupted(message: Of<"result">): boolean {
  return message.subtype === "error_during_execution" && (message.terminal_reason ?? "").startsWith("aborted");
}

/** The API's answer that the prompt is too long, and the engine's own before it asks. */
const TOO_LONG = new Set(["prompt_too_long", "blocking_limit"]);

/** `subtype: "success"` does not mean success: failures of the API come as success with `is_error`. */
function failureOf(message: Of<"result">): RunError | null {
  if (message.subtype === "success") {
    if (!message.is_error) return null;
    if (TOO_LONG.has(message.terminal_reason ?? "")) return { type: "prompt_too_long", message: clip(message.result) };
    if (message.stop_reason === "refusal") return { type: "refused", message: clip(message.result) };
    return { type: "upstream_error", message: clip(message.result), upstream_status: message.api_error_status ?? null };
  }
  // The engine's "[ede_diagnostic] ..." lines are for its makers.
  const said = message.errors.filter((line) => !line.startsWith("[ede_diagnostic]")).join("\n");
  switch (message.subtype) {
    case "error_max_turns":
      return { type: "max_turns", message: said || "The run reached its limit of turns." };
    case "error_max_budget_usd":
      return { type: "max_budget", message: said || "The run reached its budget." };
    default:
      return { type: "engine_failed", message: said || "The engine stopped with an error." };
  }
}

function errorTypeOf(
  status: number | null,
): "model_overloaded_error" | "model_rate_limited_error" | "model_request_failed_error" {
  if (status === 529) return "model_overloaded_error";
  return status === 429 ? "model_rate_limited_error" : "model_request_failed_error";
}
