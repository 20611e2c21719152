import { z } from "zod";
import { ClientResultBlock, PromptBlock } from "../content.ts";
import { PermissionMode } from "../permission-mode.ts";
import { AgentCreate } from "./agents.ts";
import { ResourceList } from "./resources.ts";
import { COMMON_QUERY, CREATED_QUERY, Metadata, MetadataPatch, PAGE_QUERY, QueryFlag, queryNumber } from "./common.ts";

/**
 * Bodies and queries of `/v1/sessions`, with the names of Managed Agents. "Gantry's own" marks fields that Managed Agents
 * does not have.
 */

const AgentRef = z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().min(1).optional() });
const Overrides = AgentCreate.pick({ mcp_servers: true, model: true, skills: true, system: true, tools: true })
  .partial()
  .extend({ type: z.literal("agent_with_overrides"), id: z.string(), version: z.int().min(1).optional() });

/** Gantry's own: an agent that is not stored, and a reference without `type`. */
const InlineAgent = AgentCreate.pick({
  description: true,
  mcp_servers: true,
  model: true,
  skills: true,
  system: true,
  tools: true,
}).extend({ type: z.literal("inline"), name: AgentCreate.shape.name.optional() });
const BareRef = z.strictObject({ id: z.string(), version: z.int().min(1).optional() });

/** The agent of a new session. */
export const SessionAgent = z.union([
  z.string(),
  z.discriminatedUnion("type", [AgentRef, Overrides, InlineAgent]),
  BareRef,
]);
export type SessionAgent = z.infer<typeof SessionAgent>;

const UserMessage = z.strictObject({
  type: z.literal("user.message"),
  content: z.array(PromptBlock).min(1),
  /** Gantry's own: records the engine's messages as `engine.message` events. */
  include_raw: z.boolean().optional(),
});

/** Text from an operator that goes to the model with the preceding prompt. */
const SystemMessage = z.strictObject({
  type: z.literal("system.message"),
  content: z
    .array(z.strictObject({ type: z.literal("text"), text: z.string().max(100_000) }))
    .min(1)
    .max(20),
});

/** Gantry's own fields of a new session. */
const BEYOND = {
  /** Replaces the agent's model for prompts that name none. */
  model: z.string().min(1).max(256).optional(),
  permission_mode: PermissionMode.optional(),
  /** Whether the agent may ask the client questions (the engine's AskUserQuestion). */
  ask_user_question: z.boolean().optional(),
};

/** Fields of a new session that both a template and a request may set. */
export const START = {
  agent: SessionAgent.optional(),
  environment_id: z.string().optional(),
  metadata: Metadata.optional(),
  resources: ResourceList.optional(),
  title: z.string().max(500).nullish(),
  ...BEYOND,
};

/** Fields of Managed Agents that are not supported yet. They are refused with a reason rather than as unknown fields. */
const NOT_YET = {
  budget: z.never({ error: "is not supported: GANTRY_SESSION_BUDGET_USD sets one for all sessions" }).optional(),
};

/** Unlike in Managed Agents, `agent` is optional (without it: plain Claude Code), and so is `environment_id`. */
export const SessionCreate = z.strictObject({
  ...START,
  ...NOT_YET,
  /** Gantry's own: a template. Fields of the request replace the template's; metadata is merged. */
  template: z.string().optional(),
  vault_ids: z.array(z.string()).max(20).optional(),
  initial_events: z.array(UserMessage).max(50).optional(),
});
export type SessionCreate = z.infer<typeof SessionCreate>;

export const SessionUpdate = z.strictObject({
  metadata: MetadataPatch.nullish(),
  title: z.string().max(500).nullish(),
});

const SessionStatus = z.enum(["running", "idle", "rescheduling", "terminated"]);

export const SessionListQuery = z.strictObject({
  ...PAGE_QUERY,
  agent_id: z.string().optional(),
  agent_version: queryNumber(1, 999_999_999).optional(),
  ...CREATED_QUERY,
  include_archived: QueryFlag.optional(),
  order: z.enum(["asc", "desc"]).default("desc"),
  "statuses[]": z.array(SessionStatus).max(20).optional(),
});

/** Query of `/v1/sessions/{id}/threads`. */
export const ThreadListQuery = z.strictObject({
  ...PAGE_QUERY,
  "statuses[]": z.array(SessionStatus).max(20).optional(),
});

/** Events that a client may send. */
export const SendEvents = z.strictObject({
  events: z
    .array(
      z.discriminatedUnion("type", [
        UserMessage,
        z.strictObject({ type: z.literal("user.interrupt"), session_thread_id: z.null().optional() }),
        z.strictObject({
          type: z.literal("user.tool_confirmation"),
          tool_use_id: z.string(),
          result: z.enum(["allow", "deny"]),
          deny_message: z.string().max(10_000).nullish(),
          /** Gantry's own: the tool runs with this input instead. */
          updated_input: z.record(z.string(), z.unknown()).optional(),
          /** Gantry's own: the answers to the agent's questions, by the text of each question. */
          answers: z.record(z.string(), z.union([z.string().max(10_000), z.array(z.string().max(10_000))])).optional(),
          /** Gantry's own: the permission mode in which the run goes on after its plan was allowed. */
          permission_mode: PermissionMode.optional(),
        }),
        SystemMessage,
        /** From the worker of a self-hosted environment. */
        z.strictObject({
          type: z.literal("user.tool_result"),
          tool_use_id: z.string(),
          content: z.array(ClientResultBlock).optional(),
          is_error: z.boolean().nullish(),
        }),
        z.strictObject({
          type: z.literal("user.custom_tool_result"),
          custom_tool_use_id: z.string(),
          content: z.array(ClientResultBlock).optional(),
          is_error: z.boolean().nullish(),
        }),
      ]),
    )
    .min(1)
    .max(50),
});

export const EventListQuery = z.strictObject({
  ...COMMON_QUERY,
  limit: z.string().optional(),
  page: z.string().optional(),
  /** Gantry's own: the `seq` after which to begin. */
  after: z.string().optional(),
  /** A statement of the log's database binds at most 100 values. */
  "types[]": z.array(z.string()).max(64).optional(),
  ...CREATED_QUERY,
  order: z.enum(["asc", "desc"]).default("asc"),
});

/** For clients that send events and stream the log in one request: see `EventStreamQuery`. */
export const SendEventsQuery = z.strictObject({
  ...COMMON_QUERY,
  event_deltas: z.string().optional(),
  "event_deltas[]": z.array(z.string()).max(20).optional(),
});

/** `after` is the `seq` or the id of the event after which to begin; `event_deltas` adds previews of texts. */
export const EventStreamQuery = z.strictObject({
  ...COMMON_QUERY,
  after: z.string().optional(),
  event_deltas: z.string().optional(),
  "event_deltas[]": z.array(z.string()).max(20).optional(),
});

/** With `ack` the client confirms the frames it has read, and the server pauses when confirmations are missing. */
export const EventSocketQuery = EventStreamQuery.extend({ ack: QueryFlag.optional() });
