import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { ThreadEvent } from "@gantry/protocol/event.ts";
import { clip } from "./clip.ts";

/**
 * The engine's sub-agents as threads of the session: pure functions over a small state, part of the translation. A
 * thread begins when the engine says that it has started a task, and is idle again when it says how that ended.
 */

export interface ThreadState {
  /** Id of the session's primary thread. */
  readonly primary: string;
  /** By the engine's id of the sub-agent, which stays the same when it is resumed. */
  readonly byTask: Readonly<Record<string, Thread>>;
  /** Sub-agent that a call started, by the model's id of the call. */
  readonly byCall: Readonly<Record<string, string>>;
  /** Thread that made a call, by the model's id of the call, where it was not the primary one. */
  readonly callers: Readonly<Record<string, string>>;
}

interface Thread {
  readonly id: string;
  readonly agentName: string;
  /** The thread that started it. */
  readonly parent: string;
  readonly running: boolean;
}

/** An event between threads, its id, and the thread it is shown on; none: the primary one. */
export type ThreadStep = ThreadEvent & { readonly id: string; readonly thread?: string };

export interface ThreadSteps {
  readonly threads: ThreadState;
  readonly events: readonly ThreadStep[];
}

export function noThreads(primary: string): ThreadState {
  return { primary, byTask: {}, byCall: {}, callers: {} };
}

/** The thread a message of the engine belongs to; undefined: the primary one. */
export function threadOf(
  state: ThreadState,
  message: { readonly agent_id?: string; readonly parent_tool_use_id: string | null },
): string | undefined {
  const byCall = message.parent_tool_use_id === null ? undefined : state.byCall[message.parent_tool_use_id];
  const task = message.agent_id ?? byCall;
  return task === undefined ? undefined : state.byTask[task]?.id;
}

type Subtype<T> = Extract<SDKMessage, { type: "system"; subtype: T }>;

/** @param callId event id of the call that started it, where it is known. */
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
      ...told(threads, "down", thread, message.prompt ?? "", newId),
    ],
  };
}

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
    events: [...told(state, "up", thread, message.summary, newId), ...saysIdle(thread, reason, newId)],
  };
}

/** Ends what the engine has stopped without saying so: every sub-agent but those that go on in the background. */
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
    events.push(...saysIdle(thread, reason, newId));
  }
  return { threads, events };
}

function idle(state: ThreadState, task: string, thread: Thread): ThreadState {
  return { ...state, byTask: { ...state.byTask, [task]: { ...thread, running: false } } };
}

/** Told twice, because each thread's view shows its own status and the primary one shows everybody's. */
function saysIdle(thread: Thread, reason: "end_turn" | "retries_exhausted", newId: () => string): ThreadStep[] {
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

/** A message between a thread and the one that started it, `down` to it or `up` from it, as both sides see it. */
function told(state: ThreadState, way: "down" | "up", thread: Thread, text: string, newId: () => string): ThreadStep[] {
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
