import { z } from "zod";
import { RunError, RunOutcome } from "../run-end.ts";
import { Scope } from "./keys.ts";

/**
 * Schemas of answers, for the OpenAPI document and for the test that checks real answers against it. Objects are open,
 * because clients must accept fields that they do not know.
 */

/** Schemas by their names in the document. */
export const ANSWERS = z.registry<{ id: string }>();

function named<T extends z.ZodType>(id: string, schema: T): T {
  ANSWERS.add(schema, { id });
  return schema;
}

const When = z.iso.datetime();
const Texts = z.record(z.string(), z.string());
const Tokens = z.looseObject({
  input_tokens: z.number(),
  output_tokens: z.number(),
  cache_read_input_tokens: z.number(),
});

/** A page of a list; `next_page` is null at the end of the list. */
function pageOf(id: string, item: z.ZodType) {
  return named(
    id,
    z.looseObject({
      data: z.array(item),
      next_page: z.string().nullable(),
      prev_page: z.string().nullable().optional(),
    }),
  );
}

export const AgentAnswer = named(
  "Agent",
  z.looseObject({
    type: z.literal("agent"),
    id: z.string(),
    version: z.int(),
    name: z.string(),
    description: z.string().nullable(),
    model: z.looseObject({ id: z.string() }),
    system: z.string().nullable(),
    tools: z.array(z.looseObject({ type: z.string() })),
    metadata: Texts,
    created_at: When,
    updated_at: When,
    archived_at: When.nullable(),
  }),
);
export const AgentPage = pageOf("AgentPage", AgentAnswer);

export const EnvironmentAnswer = named(
  "Environment",
  z.looseObject({
    type: z.literal("environment"),
    id: z.string(),
    name: z.string(),
    description: z.string().nullable(),
    config: z.looseObject({ type: z.enum(["cloud", "self_hosted"]) }),
    metadata: Texts,
    created_at: When,
    updated_at: When,
    archived_at: When.nullable(),
  }),
);
export const EnvironmentPage = pageOf("EnvironmentPage", EnvironmentAnswer);

const WorkState = z.enum(["queued", "starting", "active", "stopping", "stopped"]);
export const WorkAnswer = named(
  "Work",
  z.looseObject({
    type: z.literal("work"),
    id: z.string(),
    environment_id: z.string(),
    data: z.looseObject({ type: z.string(), id: z.string() }),
    state: WorkState,
    metadata: Texts,
    secret: z.string().nullable(),
    created_at: When,
    acknowledged_at: When.nullable(),
    started_at: When.nullable(),
    latest_heartbeat_at: When.nullable(),
    stop_requested_at: When.nullable(),
    stopped_at: When.nullable(),
  }),
);
export const WorkPage = pageOf("WorkPage", WorkAnswer);
export const WorkStats = named(
  "WorkStats",
  z.looseObject({
    type: z.literal("work_queue_stats"),
    depth: z.int(),
    pending: z.int(),
    oldest_queued_at: When.nullable(),
    workers_polling: z.int().nullable(),
  }),
);
export const WorkHeartbeat = named(
  "WorkHeartbeat",
  z.looseObject({
    type: z.literal("work_heartbeat"),
    last_heartbeat: z.string(),
    lease_extended: z.boolean(),
    state: WorkState,
    ttl_seconds: z.number(),
  }),
);

export const SessionAnswer = named(
  "Session",
  z.looseObject({
    type: z.literal("session"),
    id: z.string(),
    agent: z.looseObject({ type: z.literal("agent"), id: z.string(), name: z.string() }),
    environment_id: z.string(),
    title: z.string().nullable(),
    status: z.enum(["idle", "running", "rescheduling", "terminated"]),
    metadata: Texts,
    usage: Tokens,
    stats: z.looseObject({ active_seconds: z.number(), duration_seconds: z.number() }),
    created_at: When,
    updated_at: When,
    archived_at: When.nullable(),
  }),
);
export const SessionPage = pageOf("SessionPage", SessionAnswer);

export const EventAnswer = named(
  "Event",
  z.looseObject({
    type: z.string(),
    id: z.string(),
    /** Position in the session's log: 1, 2, 3, ... */
    seq: z.int(),
    run_id: z.string().nullable(),
    processed_at: When,
  }),
);
export const EventPage = pageOf("EventPage", EventAnswer);
export const SentEvents = named("SentEvents", z.looseObject({ data: z.array(z.looseObject({ type: z.string() })) }));

const RUN = {
  type: z.literal("run"),
  id: z.string(),
  session_id: z.string(),
  state: z.string(),
  trigger: z.string(),
  model: z.string(),
  position: z.int().nullable(),
  created_at: When,
  started_at: When.nullable(),
  ended_at: When.nullable(),
};
export const RunAnswer = named(
  "Run",
  z.looseObject({
    ...RUN,
    outcome: RunOutcome.nullable(),
    result: z.string().nullable(),
    error: RunError.nullable(),
    num_turns: z.int().nullable(),
    duration_ms: z.number().nullable(),
  }),
);
export const RunPage = pageOf("RunPage", named("ListedRun", z.looseObject(RUN)));
export const CancelledRun = named(
  "CancelledRun",
  z.looseObject({ type: z.literal("run"), id: z.string(), cancelled: z.literal(true) }),
);

export const ThreadAnswer = named(
  "Thread",
  z.looseObject({ type: z.literal("session_thread"), id: z.string(), session_id: z.string(), status: z.string() }),
);
export const ThreadPage = pageOf("ThreadPage", ThreadAnswer);

export const SandboxAnswer = named(
  "Sandbox",
  z.looseObject({ type: z.literal("sandbox"), session_id: z.string(), state: z.string(), since: When.nullable() }),
);

export const FileAnswer = named(
  "File",
  z.looseObject({
    type: z.literal("file"),
    id: z.string(),
    filename: z.string(),
    mime_type: z.string(),
    size_bytes: z.int(),
    created_at: When,
  }),
);
export const FilePage = pageOf("FilePage", FileAnswer);

export const KeyAnswer = named(
  "Key",
  z.looseObject({
    type: z.literal("api_key"),
    id: z.string(),
    account: z.string(),
    name: z.string(),
    scopes: z.array(Scope),
    created_at: When,
    expires_at: When.nullable(),
    last_used_at: When.nullable(),
    /** The key itself, present only in the answer that created it. */
    key: z.string().optional(),
  }),
);
export const KeyPage = pageOf("KeyPage", KeyAnswer);

export const AuditPage = pageOf(
  "AuditPage",
  named(
    "AuditEntry",
    z.looseObject({
      type: z.literal("audit_entry"),
      id: z.string(),
      at: When,
      account: z.string(),
      key_id: z.string(),
      action: z.string(),
      target: z.string(),
      request_id: z.string(),
    }),
  ),
);

export const Approvals = named(
  "Approvals",
  z.looseObject({
    data: z.array(
      z.looseObject({
        type: z.literal("approval"),
        session_id: z.string(),
        run_id: z.string(),
        tool_use_id: z.string(),
        kind: z.string(),
        tool: z.string(),
        asked_at: When,
      }),
    ),
  }),
);

export const UsageAnswer = named(
  "Usage",
  z.looseObject({
    data: z.array(
      z.looseObject({
        day: z.iso.date(),
        model: z.string(),
        key_id: z.string().nullable(),
        session_id: z.string().nullable(),
        requests: z.int(),
        input_tokens: z.int(),
        output_tokens: z.int(),
        cost_usd: z.number(),
      }),
    ),
  }),
);

export const ModelAnswer = named("Model", z.looseObject({ id: z.string() }));
export const ModelList = named("ModelList", z.looseObject({ data: z.array(ModelAnswer) }));

export const Deleted = named("Deleted", z.looseObject({ id: z.string(), type: z.string() }));

export const MessageAnswer = named(
  "Message",
  z.looseObject({ type: z.literal("message"), role: z.literal("assistant"), content: z.array(z.looseObject({})) }),
);
export const TokenCount = named("TokenCount", z.looseObject({ input_tokens: z.int() }));
export const ChatCompletion = named(
  "ChatCompletion",
  z.looseObject({ id: z.string(), choices: z.array(z.looseObject({})) }),
);

/** One line of a run's story; the last line of a run is `result` or `error`. */
export const StoryLine = named("StoryLine", z.looseObject({ type: z.string() }));
export const RunResult = named(
  "RunResult",
  z.looseObject({ type: z.literal("result"), result: z.string(), sessionId: z.string(), requestId: z.string() }),
);
export const RunStatus = named(
  "RunStatus",
  z.looseObject({ type: z.literal("status"), status: z.string(), sessionId: z.string(), runId: z.string() }),
);
export const MessageProcessed = named(
  "MessageProcessed",
  z.looseObject({
    status: z.literal("Message processed"),
    timestamp: z.number(),
    sessionId: z.string(),
    result: z.string(),
  }),
);
export const QueryAnswer = named("QueryAnswer", z.looseObject({ success: z.literal(true), response: z.string() }));

export const Processed = named(
  "Processed",
  z.looseObject({ success: z.literal(true), message: z.string(), result: z.string(), sessionId: z.string() }),
);

export const Health = named("Health", z.looseObject({ status: z.string(), version: z.string() }));
export const Welcome = named("Welcome", z.looseObject({ name: z.string(), version: z.string(), routes: Texts }));
export const Setup = named("Setup", z.looseObject({ version: z.string(), model: z.string(), environment: Texts }));
export const OpenApiDocument = named("OpenApiDocument", z.looseObject({ openapi: z.string() }));

/** An error under `/v1`, in Anthropic's shape. */
export const ApiErrorAnswer = named(
  "Error",
  z.looseObject({
    type: z.literal("error"),
    error: z.looseObject({
      type: z.string(),
      message: z.string(),
      /** The field or parameter that is wrong. */
      param: z.string().optional(),
    }),
    request_id: z.string(),
  }),
);
/** An error outside `/v1`: the prompt doors and the pages about the server. */
export const FlatError = named(
  "FlatError",
  z.looseObject({
    type: z.literal("error"),
    error: z.string(),
    message: z.string(),
    requestId: z.string(),
    field: z.string().optional(),
  }),
);
/** An error of `POST /query`. */
export const QueryError = named("QueryError", z.looseObject({ success: z.literal(false), error: z.string() }));
