import { z } from "zod";
import { ClientResultBlock, ImageBlock, PromptBlock, TextBlock } from "./content.ts";
import { PeerTool } from "./peers.ts";
import { ModelUsage, RetryStatus, RunEnded, SessionError } from "./run-end.ts";

/**
 * The spine: everything that happens in a session is one of these events, stored in the session's log under a
 * gap-free `seq`, and every stream and page is a view of that log.
 *
 * Names and shapes are those of Claude Managed Agents where it has one. Events of our own have other prefixes
 * (`run.*`, `permission.*`). A reader ignores what it does not know.
 */

/** Largest event, in UTF-16 code units of its JSON: a frame (1 MiB) must hold it with room to spare. */
export const MAX_EVENT_CHARS = 480_000;

const threadId = z.string().regex(/^sthr_[0-9a-z]{1,64}$/);
const agentName = z.string().max(256);

/** What happens between threads: a sub-agent of the engine is one, and so is another session that this one started. */
export const ThreadEvent = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("session.thread_created"),
    session_thread_id: threadId,
    agent_name: agentName,
    workflow_run_id: z.null(),
    /** Ours: the thread that started it. */
    parent_thread_id: threadId,
    /** Ours: the call it was started by. */
    tool_use_id: z.string().max(64).nullable(),
    /** Ours: how the engine calls the sub-agent, and so its model calls. */
    task_id: z.string().max(64).nullable(),
    /** Ours: the session whose log is this thread; null for a sub-agent of the engine. */
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
    /** Absent when it went to the primary thread. */
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

/** What a runner may report. It is hostile by assumption: anything else it sends is refused. */
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
    /** The environment's worker carries it out (`user.tool_result`); `ask`: once somebody has allowed it. The run waits. */
    evaluated_permission: z.enum(["allow", "ask"]).optional(),
    /** A copy, on the primary thread, of a call of that thread which waits for permission. The id is that of the call. */
    session_thread_id: z.string().optional(),
  }),
  z.object({
    type: z.literal("agent.tool_result"),
    tool_use_id: z.string(),
    content: z.array(z.union([TextBlock, ImageBlock])),
    is_error: z.boolean(),
  }),
  /** A tool of one of the agent's MCP servers, and what it answered. */
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
  /** A tool the client answers, with `user.custom_tool_result`. The run waits. */
  z.object({ type: z.literal("agent.custom_tool_use"), name: z.string(), input: z.record(z.string(), z.unknown()) }),
  /** A tool may not run before somebody says so, with `user.tool_confirmation`. The run waits. */
  z.object({
    type: z.literal("approval.requested"),
    tool_use_id: z.string(),
    tool: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
  /** The agent wants something of another session. The session does it and answers the call. */
  z.object({
    type: z.literal("peer.requested"),
    tool_use_id: z.string().max(64),
    tool: PeerTool,
    input: z.record(z.string(), z.unknown()),
  }),
  /** The permission mode did not allow a tool. The agent was told and went on. */
  z.object({
    type: z.literal("permission.denied"),
    tool_use_id: z.string().nullable(),
    tool: z.string(),
    message: z.string(),
  }),
  /** All places for engines are taken, or many start at once: `position` starts come before this one. */
  z.object({ type: z.literal("sandbox.waiting"), position: z.number().int().nonnegative() }),
  z.object({ type: z.literal("agent.thread_context_compacted") }),
  ...ThreadEvent.options,
  /** A file or repository is being put in its place; `percent` where git says how far it is. */
  z.object({
    type: z.literal("resource.mounting"),
    resource_id: z.string(),
    mount_path: z.string(),
    phase: z.string(),
    percent: z.number().int().nullable(),
  }),
  /** It is there. */
  z.object({ type: z.literal("resource.mounted"), resource_id: z.string(), mount_path: z.string() }),
  /** The agent left a file in `/mnt/session/outputs`: it is in the Files API now, under the session's scope. */
  z.object({
    type: z.literal("session.output"),
    file_id: z.string(),
    filename: z.string(),
    size_bytes: z.number().int(),
  }),
  z.object({ type: z.literal("session.error"), error: SessionError }),
  /** A message of the engine as it came, for a run that asked for it. What is in it is the Agent SDK's. */
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
  /** A piece of that text. The event itself follows with all of it, unless the model was cut off. */
  z.object({
    type: z.literal("event_delta"),
    event_id: z.string(),
    delta: z.object({ type: z.literal("content_delta"), index: z.number().int(), content: TextBlock }),
  }),
  RunEnded,
]);
/** An event as the runner writes it: without `seq`, which only the log gives. */
export type RunnerEvent = z.infer<typeof RunnerEvent>;

/** What the session itself adds to the log. */
export const SessionEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("user.message"), content: z.array(PromptBlock) }),
  /** What the operator says to the model with the prompt before it. */
  z.object({ type: z.literal("system.message"), content: z.array(TextBlock) }),
  z.object({ type: z.literal("user.interrupt") }),
  z.object({
    type: z.literal("user.tool_confirmation"),
    tool_use_id: z.string(),
    result: z.enum(["allow", "deny"]),
    deny_message: z.string().nullable().optional(),
    /** Of a question: what was answered, by the text of each. */
    answers: z.record(z.string(), z.string()).optional(),
    /** Of a plan: the mode in which the run goes on. */
    permission_mode: z.string().optional(),
  }),
  z.object({
    type: z.literal("user.custom_tool_result"),
    custom_tool_use_id: z.string(),
    content: z.array(ClientResultBlock),
    is_error: z.boolean(),
  }),
  /** What the worker of a self-hosted environment answers to an `agent.tool_use`. */
  z.object({
    type: z.literal("user.tool_result"),
    tool_use_id: z.string(),
    content: z.array(ClientResultBlock),
    is_error: z.boolean(),
  }),
  /** Accepted and stored. `position` 0 runs next. */
  z.object({ type: z.literal("run.queued"), position: z.number().int(), trigger: z.string() }),
  z.object({ type: z.literal("run.started"), model: z.string(), permission_mode: z.string() }),
  /** Something in the sandbox wanted out to a host that the session's environment does not allow; once a host and run. */
  z.object({ type: z.literal("sandbox.egress_blocked"), host: z.string(), method: z.string() }),
  /** Triage has looked at the prompt, before a sandbox was started for it. `by` names the steps that said so. */
  z.object({
    type: z.literal("triage.decided"),
    decision: z.enum(["answer", "refuse", "context", "pass"]),
    by: z.array(z.string()),
    /** What goes to the engine with the prompt. */
    context: z.string().optional(),
    /** Steps that could not do their work; the prompt passed them. */
    problems: z.array(z.object({ step: z.string(), message: z.string() })),
    duration_ms: z.number(),
  }),
  z.object({ type: z.literal("session.status_running") }),
  z.object({
    type: z.literal("session.status_idle"),
    stop_reason: z.object({
      type: z.enum(["end_turn", "requires_action", "retries_exhausted", "budget_reached", "refusal"]),
      /** With `requires_action`: the events that wait for an answer. */
      event_ids: z.array(z.string()).optional(),
    }),
    stop_details: z.null(),
  }),
  /** The session's files are saved as they are after this event's run, or in the middle of it. */
  z.object({
    type: z.literal("workspace.snapshot"),
    snapshot_id: z.string(),
    files: z.number().int(),
    bytes: z.number().int(),
    /** Of these, what was not stored already. */
    new_bytes: z.number().int(),
    duration_ms: z.number(),
    /** The first of what was left out: pipes, sockets, files that are too large. */
    skipped: z.array(z.object({ path: z.string(), reason: z.string() })),
    skipped_count: z.number().int(),
  }),
  /** The files could not be saved; the snapshot before is still there. It is tried again, or at the end of the next run. */
  z.object({
    type: z.literal("workspace.snapshot_failed"),
    error: z.object({
      type: z.enum(["store_unavailable", "sandbox_unavailable", "too_large", "bad_contents", "not_configured"]),
      message: z.string(),
      retry_status: RetryStatus,
    }),
  }),
  /** The sandbox was new, and the session's files were brought back to it: what there is again, and what there is not. */
  z.object({
    type: z.literal("session.restored"),
    /** Null: there was none, and only what was said came back. */
    snapshot_id: z.string().nullable(),
    /** `seq` of the last event before that snapshot: what files became after it is lost. */
    snapshot_seq: z.number().int(),
    files: z.number().int(),
    bytes: z.number().int(),
    /** Lines of the conversation that were written after the snapshot. */
    transcript_lines: z.number().int(),
    duration_ms: z.number(),
    /** What is missing, in words. */
    missing: z.array(z.string()),
  }),
  /** The session began as a copy of another: what is before this event happened there. */
  z.object({ type: z.literal("session.forked"), from_session_id: z.string(), from_seq: z.number().int() }),
  /** Files and conversation are those of an older state again; the log keeps what happened since. */
  z.object({
    type: z.literal("session.rewound"),
    snapshot_id: z.string(),
    run_id: z.string().nullable(),
    /** `seq` of the last event that the agent still knows of. */
    to_seq: z.number().int(),
  }),
  ...RunnerEvent.options,
]);
export type SessionEvent = z.infer<typeof SessionEvent>;

/** Every event type there is. */
export type EventType = SessionEvent["type"];

/** What every stored event carries besides its own fields. */
export interface EventHeader {
  /** `sevt_...`; what other events refer to it by. */
  readonly id: string;
  /** Place in the session's log: 1, 2, 3, ... */
  readonly seq: number;
  /** The run it belongs to; null for what happens between runs. */
  readonly run_id: string | null;
  /** ISO time at which it was recorded. */
  readonly processed_at: string;
  /** The thread it happened on; absent on the primary one. */
  readonly thread_id?: string;
}

/** An event as it stands in the log and on the wire. */
export type StoredEvent = EventHeader & SessionEvent;

/** Types that exist only to show text while it arrives; a client asks for them. */
export const PREVIEW_TYPES: readonly EventType[] = ["event_start", "event_delta"];

/** What is said of a session's files after its runs. The worker of a self-hosted environment is not told: it goes when nothing follows the idle. */
export const UPKEEP_TYPES: readonly EventType[] = ["workspace.snapshot", "workspace.snapshot_failed"];
