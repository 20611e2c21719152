import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ThreadEvent } from "@gantry/protocol/event.ts";
import { clip } from "./clip.ts";

/**
 * Translates the engine's sub-agents into threads of the session: pure functions over a small state. A thread starts when the
 * engine reports a started task, and becomes idle when the engine reports how the task ended.
 */

export interface ThreadState {
  /** Id of the session's primary thread, that of the main agent. */
  readonly primary: string;
  /** Threads by the engine's id of the sub-agent, which stays the same when the sub-agent is resumed. */
  readonly byTask: Readonly<Record<string, Thread>>;
  /** The sub-agent that a call started, by the model's id of the call. */
  readonly byCall: Readonly<Record<string, string>>;
  /** The thread that made a call, by the model's id of the call. Calls of the primary thread are left out. */
  readonly callers: Readonly<Record<string, string>>;
}

interface Thread {
  readonly id: string;
  readonly agentName: string;
  /** The thread that started it. */
  readonly parent: string;
  readonly running: boolean;
}

/** A thread event with its id and the thread that shows it; without `thread`, the primary one. */
export type ThreadStep = ThreadEvent & { readonly id: string; readonly thread?: string };

/** Events, and the threads after them. */
export interface ThreadSteps {
  readonly threads: ThreadState;
  readonly events: readonly ThreadStep[];
}

/** The state of a session without sub-agents. */
export function noThreads(primary: string): ThreadState {
  return { primary, byTask: {}, byCall: {}, callers: {} };
}

/** The thread that a message of the engine belongs to; undefined for the primary one. */
export function threadOf(
  state: ThreadState,
  message: { readonly agent_id?: string; readonly parent_tool_use_id: string | null },
): string | undefined {
  const byCall = message.parent_tool_use_id === null ? undefined : state.byCall[message.parent_tool_use_id];
  const task = message.agent_id ?? byCall;
  return task === undefined ? undefined : state.byTask[task]?.id;
}

type Subtype<T> = Extract<SDKMessage, { type: "system"; subtype: T }>;

/** A sub-agent starts or resumes. @param callId event id of the call that started it, if known. */
export function onTaskStarted(
  state: ThreadState,
  message: Subtype<"task_started">,
  callId: string | null,
  newId: () => string,
): ThreadSteps {
  // Shells and monitors are tasks too.
  if (message.task_type !== "local_agent") return { threads: state, events: [] };
  const known = state.byTask[message.task_id];
  const caller = message.tool_use_id === undefined ? undefined : state.callers[message.tool_use_id];
  const thread: Thread = known
    ? { ...known, running: true }
    : {
        id: `sthr_${newId().replace("sevt_", "")}`,
        agentName: (message.subagent_type || "general-purpose").slice(0, 256),
        parent: caller ?? state.primary,
        running: true,
      };
  const byCall = message.tool_use_id === undefined ? {} : { [message.tool_use_id]: message.task_id };
  const threads: ThreadState = {
    ...state,
    byTask: { ...state.byTask, [message.task_id]: thread },
    byCall: { ...state.byCall, ...byCall },
  };
  const created: ThreadStep[] = known
    ? []
    : [
        {
          type: "session.thread_created",
          id: newId(),
          session_thread_id: thread.id,
          agent_name: thread.agentName,
          workflow_run_id: null,
          parent_thread_id: thread.parent,
          tool_use_id: callId,
          task_id: message.task_id.slice(0, 64),
          peer_session_id: null,
        },
      ];
  const running = {
    type: "session.thread_status_running" as const,
    session_thread_id: thread.id,
    agent_name: thread.agentName,
  };
  return {
    threads,
    events: [
      ...created,
      { ...running, id: newId() },
      { ...running, id: newId(), thread: thread.id },
      ...messageEvents(threads, "down", thread, message.prompt ?? "", newId),
    ],
  };
}

/** A sub-agent is done. */
export function onTaskEnded(
  state: ThreadState,
  message: Subtype<"task_notification">,
  newId: () => string,
): ThreadSteps {
  const thread = state.byTask[message.task_id];
  if (!thread?.running) return { threads: state, events: [] };
  const reason = message.status === "failed" ? "retries_exhausted" : "end_turn";
  return {
    threads: idle(state, message.task_id, thread),
    events: [...messageEvents(state, "up", thread, message.summary, newId), ...idleEvents(thread, reason, newId)],
  };
}

/** Ends the sub-agents that the engine stopped without a report: all except those that continue in the background. */
export function closeThreads(
  state: ThreadState,
  background: readonly string[],
  newId: () => string,
  reason: "end_turn" | "retries_exhausted" = "end_turn",
): ThreadSteps {
  let threads = state;
  const events: ThreadStep[] = [];
  for (const [task, thread] of Object.entries(state.byTask)) {
    if (!thread.running || background.includes(task)) continue;
    threads = idle(threads, task, thread);
    events.push(...idleEvents(thread, reason, newId));
  }
  return { threads, events };
}

function idle(state: ThreadState, task: string, thread: Thread): ThreadState {
  return { ...state, byTask: { ...state.byTask, [task]: { ...thread, running: false } } };
}

/** Idle events, one for the thread's own view and one for the primary thread, which shows the status of all threads. */
function idleEvents(thread: Thread, reason: "end_turn" | "retries_exhausted", newId: () => string): ThreadStep[] {
  const event = {
    type: "session.thread_status_idle" as const,
    session_thread_id: thread.id,
    agent_name: thread.agentName,
    stop_reason: { type: reason },
    stop_details: null,
  };
  return [
    { ...event, id: newId(), thread: thread.id },
    { ...event, id: newId() },
  ];
}

/** The message between a thread and its parent, `down` to the thread or `up` from it: one event for each side. */
function messageEvents(
  state: ThreadState,
  way: "down" | "up",
  thread: Thread,
  text: string,
  newId: () => string,
): ThreadStep[] {
  if (text === "") return [];
  const content = [{ type: "text" as const, text: clip(text) }];
  const parent = Object.values(state.byTask).find((each) => each.id === thread.parent);
  const parentName = parent ? parent.agentName : undefined;
  const atParent = thread.parent === state.primary ? {} : { thread: thread.parent };
  const [sender, receiver] =
    way === "down"
      ? [
          { on: atParent, id: thread.parent, name: parentName },
          { on: { thread: thread.id }, id: thread.id, name: thread.agentName },
        ]
      : [
          { on: { thread: thread.id }, id: thread.id, name: thread.agentName },
          { on: atParent, id: thread.parent, name: parentName },
        ];
  return [
    {
      type: "agent.thread_message_sent",
      id: newId(),
      to_session_thread_id: receiver.id,
      ...(receiver.name === undefined ? {} : { to_agent_name: receiver.name }),
      content,
      ...sender.on,
    },
    {
      type: "agent.thread_message_received",
      id: newId(),
      from_session_thread_id: sender.id,
      ...(sender.name === undefined ? {} : { from_agent_name: sender.name }),
      content,
      ...receiver.on,
    },
  ];
}
