import { z } from "zod";
import { ClientResultBlock, PromptBlock } from "../event.ts";
import { AgentCreate } from "./agents.ts";
import { ResourceList } from "./resources.ts";
import { COMMON_QUERY, CREATED_QUERY, Metadata, MetadataPatch, PAGE_QUERY, QueryFlag, queryNumber } from "./common.ts";

/** Bodies and queries of `/v1/sessions`, in the words of Managed Agents. */

const AgentRef = z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().min(1).optional() });
const Overrides = AgentCreate.pick({ mcp_servers: true, model: true, skills: true, system: true, tools: true })
  .partial()
  .extend({ type: z.literal("agent_with_overrides"), id: z.string(), version: z.int().min(1).optional() });

const UserMessage = z.strictObject({ type: z.literal("user.message"), content: z.array(PromptBlock).min(1) });

/** Beyond Managed Agents, `agent` may be left out (plain Claude Code), and so may `environment_id`. */
export const SessionCreate = z.strictObject({
  agent: z.union([z.string(), z.discriminatedUnion("type", [AgentRef, Overrides])]).optional(),
  environment_id: z.string().optional(),
  initial_events: z.array(UserMessage).max(50).optional(),
  metadata: Metadata.optional(),
  resources: ResourceList.optional(),
  title: z.string().max(500).nullish(),
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
  "statuses[]": z.array(SessionStatus).optional(),
});

/** Query of `/v1/sessions/{id}/threads`. */
export const ThreadListQuery = z.strictObject({
  ...PAGE_QUERY,
  "statuses[]": z.array(SessionStatus).optional(),
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
          /** Ours: the tool runs with this input instead, which is also how questions are answered. */
          updated_input: z.record(z.string(), z.unknown()).optional(),
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
  /** Ours: the `seq` after which to begin. */
  after: z.string().optional(),
  "types[]": z.array(z.string()).optional(),
  ...CREATED_QUERY,
  order: z.enum(["asc", "desc"]).default("asc"),
});

/** For those who send and read on in one: see `EventStreamQuery`. */
export const SendEventsQuery = z.strictObject({
  ...COMMON_QUERY,
  event_deltas: z.string().optional(),
  "event_deltas[]": z.array(z.string()).optional(),
});

/** `after` is the `seq` or the id of the event after which to begin; with `event_deltas` previews of texts are shown. */
export const EventStreamQuery = z.strictObject({
  ...COMMON_QUERY,
  after: z.string().optional(),
  event_deltas: z.string().optional(),
  "event_deltas[]": z.array(z.string()).optional(),
});

/** `ack`: the client confirms what it has read, and is held back where it does not. */
export const EventSocketQuery = EventStreamQuery.extend({ ack: QueryFlag.optional() });
