import { z } from "zod";
import { ClientResultBlock, ImageBlock, PromptBlock, TextBlock } from "./content.ts";
import { PeerTool } from "./peers.ts";
import { ModelUsage, RetryStatus, RunEnded, SessionError } from "./run-end.ts";

/**
 * The events of a session. Everything that happens is one of these, stored in the session's log under a gap-free `seq`.
 * Every stream and page is a view of that log.
 *
 * Events that Claude Managed Agents has keep its names and shapes. Gantry's own events have other prefixes (`run.*`,
 * `permission.*`). A reader ignores types that it does not know.
 */

/** Largest event in UTF-16 code units of its JSON. It must fit into a frame (1 MiB) with room to spare. */
export const MAX_EVENT_CHARS = 480_000;

const threadId = z.string().regex(/^sthr_[0-9a-z]{1,64}$/);
const agentName = z.string().max(256);

/** Events about threads. A thread is a sub-agent of the engine, or another session that this session started. */
export const ThreadEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("session.thread_created"),
    session_thread_id: threadId,
    agent_name: agentName,
    workflow_run_id: z.null(),
    /** Gantry's own: the thread that started this one. */
    parent_thread_id: threadId,
    /** Gantry's own: the tool call that started the thread. */
    tool_use_id: z.string().max(64).nullable(),
    /** Gantry's own: the engine's id of the sub-agent, which its model calls carry. */
    task_id: z.string().max(64).nullable(),
    /** Gantry's own: the session whose log is this thread; null for a sub-agent of the engine. */
    peer_session_id: z.string().max(64).nullable(),
  }),
  z.object({ type: z.literal("session.thread_status_running"), session_thread_id: threadId, agent_name: agentName }),
  z.object({
    type: z.literal("session.thread_status_idle"),
    session_thread_id: threadId,
    agent_name: agentName,
    stop_reason: z.object({ type: z.enum(["end_turn", "retries_exhausted"]) }),
    stop_details: z.null(),
  }),
  z.object({
    type: z.literal("session.thread_status_terminated"),
    session_thread_id: threadId,
    agent_name: agentName,
  }),
  z.object({
    type: z.literal("agent.thread_message_sent"),
    to_session_thread_id: threadId,
    /** Absent when the message went to the primary thread. */
    to_agent_name: agentName.optional(),
    content: z.array(TextBlock),
  }),
  z.object({
    type: z.literal("agent.thread_message_received"),
    from_session_thread_id: threadId,
    from_agent_name: agentName.optional(),
    content: z.array(TextBlock),
  }),
]);
export type ThreadEvent = z.infer<typeof ThreadEvent>;

/** Events that a runner may report. Runners are assumed hostile: anything else is refused. */
export const RunnerEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("agent.message"),
    content: z.array(TextBlock),
    parent_tool_use_id: z.string().optional(),
  }),
  z.object({ type: z.literal("agent.thinking"), thinking: z.string().optional() }),
  z.object({
    type: z.literal("agent.tool_use"),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
    parent_tool_use_id: z.string().optional(),
    /**
     * Present when the environment's worker carries the call out and answers with `user.tool_result`; with `ask`, only
     * after the client has allowed it. The run waits.
     */
    evaluated_permission: z.enum(["allow", "ask"]).optional(),
    /** Present on the primary thread's copy of a call that waits for permission on this thread. The copy has the call's id. */
    session_thread_id: z.string().optional(),
  }),
  z.object({
    type: z.literal("agent.tool_result"),
    tool_use_id: z.string(),
    content: z.array(z.union([TextBlock, ImageBlock])),
    is_error: z.boolean(),
  }),
  /** A call to one of the agent's MCP servers. `agent.mcp_tool_result` has its answer. */
  z.object({
    type: z.literal("agent.mcp_tool_use"),
    mcp_server_name: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
  z.object({
    type: z.literal("agent.mcp_tool_result"),
    mcp_tool_use_id: z.string(),
    content: z.array(z.union([TextBlock, ImageBlock])),
    is_error: z.boolean(),
  }),
  /** A call that the client answers with `user.custom_tool_result`. The run waits. */
  z.object({ type: z.literal("agent.custom_tool_use"), name: z.string(), input: z.record(z.string(), z.unknown()) }),
  /** A call that needs the client's approval by `user.tool_confirmation`. The run waits. */
  z.object({
    type: z.literal("approval.requested"),
    tool_use_id: z.string(),
    tool: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
  /** The agent starts, messages or reads another session. This session does so and answers the call. */
  z.object({
    type: z.literal("peer.requested"),
    tool_use_id: z.string().max(64),
    tool: PeerTool,
    input: z.record(z.string(), z.unknown()),
  }),
  /** The permission mode did not allow a call. The agent was told and went on. */
  z.object({
    type: z.literal("permission.denied"),
    tool_use_id: z.string().nullable(),
    tool: z.string(),
    message: z.string(),
  }),
  /** The engine's start is queued, because too many engines run or start: `position` starts come first. */
  z.object({ type: z.literal("sandbox.waiting"), position: z.number().int().nonnegative() }),
  z.object({ type: z.literal("agent.thread_context_compacted") }),
  ...ThreadEvent.options,
  /** A file or repository is being mounted. `percent` is git's progress, where git reports it. */
  z.object({
    type: z.literal("resource.mounting"),
    resource_id: z.string(),
    mount_path: z.string(),
    phase: z.string(),
    percent: z.number().int().nullable(),
  }),
  /** The file or repository is mounted. */
  z.object({ type: z.literal("resource.mounted"), resource_id: z.string(), mount_path: z.string() }),
  /** The agent left a file in `/mnt/session/outputs`. It is now in the Files API, under the session's scope. */
  z.object({
    type: z.literal("session.output"),
    file_id: z.string(),
    filename: z.string(),
    size_bytes: z.number().int(),
  }),
  z.object({ type: z.literal("session.error"), error: SessionError }),
  /** An unchanged message of the engine, for a run that asked for it. The Agent SDK defines its shape. */
  z.object({ type: z.literal("engine.message"), message: z.record(z.string(), z.unknown()) }),
  z.object({ type: z.literal("span.model_request_start"), model: z.string() }),
  z.object({
    type: z.literal("span.model_request_end"),
    model_request_start_id: z.string(),
    is_error: z.boolean(),
    model_usage: ModelUsage,
  }),
  /** Opens the preview of an event whose text is still arriving. */
  z.object({
    type: z.literal("event_start"),
    event: z.object({ type: z.enum(["agent.message", "agent.thinking"]), id: z.string() }),
  }),
  /** A piece of that text. The event itself follows with the whole text, unless the model was cut off. */
  z.object({
    type: z.literal("event_delta"),
    event_id: z.string(),
    delta: z.object({ type: z.literal("content_delta"), index: z.number().int(), content: TextBlock }),
  }),
  RunEnded,
]);
/** An event as the runner writes it, without `seq`, which the log assigns. */
export type RunnerEvent = z.infer<typeof RunnerEvent>;

/** All events in a log: those that the session adds itself, and those of the runner. */
export const SessionEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("user.message"), content: z.array(PromptBlock) }),
  /** Text from the operator that goes to the model with the preceding prompt. */
  z.object({ type: z.literal("system.message"), content: z.array(TextBlock) }),
  z.object({ type: z.literal("user.interrupt") }),
  z.object({
    type: z.literal("user.tool_confirmation"),
    tool_use_id: z.string(),
    result: z.enum(["allow", "deny"]),
    deny_message: z.string().nullable().optional(),
    /** For a question: the answers by the text of each question. */
    answers: z.record(z.string(), z.string()).optional(),
    /** For a plan: the permission mode in which the run goes on. */
    permission_mode: z.string().optional(),
  }),
  z.object({
    type: z.literal("user.custom_tool_result"),
    custom_tool_use_id: z.string(),
    content: z.array(ClientResultBlock),
    is_error: z.boolean(),
  }),
  /** The answer of a self-hosted environment's worker to an `agent.tool_use`. */
  z.object({
    type: z.literal("user.tool_result"),
    tool_use_id: z.string(),
    content: z.array(ClientResultBlock),
    is_error: z.boolean(),
  }),
  /** The run is accepted and stored. The run at `position` 0 is next. */
  z.object({ type: z.literal("run.queued"), position: z.number().int(), trigger: z.string() }),
  z.object({ type: z.literal("run.started"), model: z.string(), permission_mode: z.string() }),
  /** The sandbox tried to reach a host that the environment does not allow. Recorded once per host and run. */
  z.object({ type: z.literal("sandbox.egress_blocked"), host: z.string(), method: z.string() }),
  /** Triage has judged the prompt before a sandbox starts for it. `by` names the steps that made the decision. */
  z.object({
    type: z.literal("triage.decided"),
    decision: z.enum(["answer", "refuse", "context", "pass"]),
    by: z.array(z.string()),
    /** Text that goes to the engine with the prompt. */
    context: z.string().optional(),
    /** Steps that failed. The prompt passed them. */
    problems: z.array(z.object({ step: z.string(), message: z.string() })),
    duration_ms: z.number(),
  }),
  z.object({ type: z.literal("session.status_running") }),
  z.object({
    type: z.literal("session.status_idle"),
    stop_reason: z.object({
      type: z.enum(["end_turn", "requires_action", "retries_exhausted", "budget_reached", "refusal"]),
      /** With `requires_action`: ids of the events that wait for an answer. */
      event_ids: z.array(z.string()).optional(),
    }),
    stop_details: z.null(),
  }),
  /** The session's files were saved, after this event's run or in the middle of it. */
  z.object({
    type: z.literal("workspace.snapshot"),
    snapshot_id: z.string(),
    files: z.number().int(),
    bytes: z.number().int(),
    /** The part of `bytes` that was not stored before. */
    new_bytes: z.number().int(),
    duration_ms: z.number(),
    /** The first paths that were left out: pipes, sockets, files that are too large. */
    skipped: z.array(z.object({ path: z.string(), reason: z.string() })),
    skipped_count: z.number().int(),
  }),
  /** The files could not be saved. The previous snapshot still exists; saving is retried, at the latest after the next run. */
  z.object({
    type: z.literal("workspace.snapshot_failed"),
    error: z.object({
      type: z.enum(["store_unavailable", "sandbox_unavailable", "too_large", "bad_contents", "not_configured"]),
      message: z.string(),
      retry_status: RetryStatus,
    }),
  }),
  /** The session's files were restored to a new sandbox. `missing` lists what could not be restored. */
  z.object({
    type: z.literal("session.restored"),
    /** Null when there was no snapshot and only the conversation was restored. */
    snapshot_id: z.string().nullable(),
    /** `seq` of the last event before the snapshot. Changes to files after it are lost. */
    snapshot_seq: z.number().int(),
    files: z.number().int(),
    bytes: z.number().int(),
    /** Restored lines of the conversation that are newer than the snapshot. */
    transcript_lines: z.number().int(),
    duration_ms: z.number(),
    /** What is missing, as texts for people. */
    missing: z.array(z.string()),
  }),
  /** The session started as a copy of another. The events before this one happened there. */
  z.object({ type: z.literal("session.forked"), from_session_id: z.string(), from_seq: z.number().int() }),
  /** Files and conversation were taken back to an earlier state. The log keeps everything that happened since. */
  z.object({
    type: z.literal("session.rewound"),
    snapshot_id: z.string(),
    run_id: z.string().nullable(),
    /** `seq` of the last event that the agent still knows. */
    to_seq: z.number().int(),
  }),
  ...RunnerEvent.options,
]);
export type SessionEvent = z.infer<typeof SessionEvent>;

/** The type of any event. */
export type EventType = SessionEvent["type"];

/** Fields that every stored event has in addition to its own. */
export interface EventHeader {
  /** `sevt_...`. Other events refer to this one by it. */
  readonly id: string;
  /** Position in the session's log: 1, 2, 3, ... */
  readonly seq: number;
  /** The run that the event belongs to; null between runs. */
  readonly run_id: string | null;
  /** ISO 8601 time at which the event was recorded. */
  readonly processed_at: string;
  /** The thread that the event happened on; absent on the primary one. */
  readonly thread_id?: string;
}

/** An event as stored in the log and sent to clients. */
export type StoredEvent = EventHeader & SessionEvent;

/** Types that only show text while it arrives. Clients get them on request. */
export const PREVIEW_TYPES: readonly EventType[] = ["event_start", "event_delta"];

/**
 * Types that report the saving of files after a run. Workers of self-hosted environments do not get them, because a worker
 * leaves when no event follows `session.status_idle`.
 */
export const UPKEEP_TYPES: readonly EventType[] = ["workspace.snapshot", "workspace.snapshot_failed"];
