import { AgentCreate, AgentListQuery, AgentQuery, AgentUpdate } from "@gantry/protocol/api/agents.ts";
import { NoQuery, PageQuery } from "@gantry/protocol/api/common.ts";
import { ContainerProcess } from "@gantry/protocol/api/container.ts";
import { AgentMessage, ClaudeCodeRequest, ClaudeCodeRunQuery, QueryRequest } from "@gantry/protocol/api/doors.ts";
import { EnvironmentCreate, EnvironmentListQuery, EnvironmentUpdate } from "@gantry/protocol/api/environments.ts";
import { FileListQuery } from "@gantry/protocol/api/files.ts";
import { AccountPageQuery, AccountQuery, KeyCreate } from "@gantry/protocol/api/keys.ts";
import { ModelListQuery, RunListQuery, UsageQuery } from "@gantry/protocol/api/lists.ts";
import { FileResource, ResourceListQuery, ResourceUpdate } from "@gantry/protocol/api/resources.ts";
import {
  EventListQuery,
  EventSocketQuery,
  EventStreamQuery,
  SendEvents,
  SendEventsQuery,
  SessionCreate,
  SessionListQuery,
  SessionUpdate,
  ThreadListQuery,
} from "@gantry/protocol/api/sessions.ts";
import { TemplateCreate, TemplateListQuery, TemplateUpdate } from "@gantry/protocol/api/templates.ts";
import {
  CredentialCreate,
  CredentialUpdate,
  VaultCreate,
  VaultListQuery,
  VaultUpdate,
} from "@gantry/protocol/api/vaults.ts";
import {
  ArchiveQuery,
  DiffQuery,
  SessionFork,
  SessionRewind,
  SnapshotListQuery,
  WorkspaceFileQuery,
  WorkspaceListQuery,
} from "@gantry/protocol/api/workspace.ts";
import { WorkHeartbeatQuery, WorkPollQuery, WorkStop, WorkUpdate } from "@gantry/protocol/api/work.ts";
import { z } from "zod";
import type { Access, Route } from "./route.ts";

const LOOK = ["read", "sessions"] as const;
const CONTENTS = ["sessions", "files"] as const;
const SESSIONS = ["sessions"] as const;
const CATALOG_LOOK = ["read", "agents", "sessions"] as const;
const CATALOG_CHANGE = ["agents"] as const;
const MODELS = ["models"] as const;
const MODELS_LOOK = ["models", "sessions", "agents", "read"] as const;
const FILES = ["files"] as const;
const FILES_LOOK = ["files", "sessions", "read"] as const;
const WORK = ["work"] as const;
const WORK_LOOK = ["work", "read", "sessions"] as const;
const WORK_CHANGE = ["work", "sessions"] as const;
const ADMIN = ["admin"] as const;

/** For doors that must accept any query parameter that a monitor or another provider's client sends. */
const AnyQuery = z.looseObject({});

/** Every route, by method and Hono pattern. The build fails when a route is missing here or in `doors.ts`. */
export const ROUTES = {
  "GET /": { access: "open", summary: "Overview: version, routes and a first request", query: AnyQuery },
  "GET /health": { access: "open", summary: "Health check", query: AnyQuery },
  "GET /openapi.json": { access: "open", summary: "API description (OpenAPI 3.1)", query: AnyQuery },
  "GET /docs": { access: "open", summary: "API reference (HTML)", query: AnyQuery },
  "POST /claude-code": {
    access: SESSIONS,
    summary: "Run a prompt; streams NDJSON or returns one JSON object",
    body: ClaudeCodeRequest,
  },
  "GET /claude-code/:sessionId/:runId": {
    access: LOOK,
    summary: "Replay the lines of a run, starting after any line",
    query: ClaudeCodeRunQuery,
  },
  "GET /demo/ws/:sessionId": {
    access: SESSIONS,
    summary: "WebSocket on a session with a name you choose",
    query: z.strictObject({ after: z.string().optional() }),
  },
  "POST /agent/message": {
    access: SESSIONS,
    summary: "Run a prompt in a named session without a WebSocket",
    body: AgentMessage,
  },
  "POST /query": {
    access: SESSIONS,
    summary: "Run a prompt and return its answer; prompts of one accountId run in order",
    body: QueryRequest,
  },
  "POST /container/process": {
    access: SESSIONS,
    summary: "Run a prompt in a new sandbox or in a given session; answers when the run has ended",
    body: ContainerProcess,
  },
  "GET /container/health": { access: LOOK, summary: "Runner health" },
  "GET /debug": { access: ADMIN, summary: "Configuration of this server, without secret values" },
  "GET /claude-code/debug": {
    access: ADMIN,
    summary: "Configuration of this server, without secret values (alias of /debug)",
  },
  "POST /v1/messages": {
    access: MODELS,
    summary: "Call a model with the Anthropic Messages API",
    query: AnyQuery,
  },
  "POST /v1/messages/count_tokens": { access: MODELS, summary: "Count the input tokens of a request", query: AnyQuery },
  "POST /v1/chat/completions": {
    access: MODELS,
    summary: "Call a model with the OpenAI Chat Completions API",
    query: AnyQuery,
  },
  "GET /v1/models": { access: MODELS_LOOK, summary: "List models", query: ModelListQuery },
  "GET /v1/models/:id{.+}": { access: MODELS_LOOK, summary: "Get a model" },
  "GET /v1/usage": { access: LOOK, summary: "Get tokens and cost by day, model, key and session", query: UsageQuery },
  "GET /v1/approvals": { access: LOOK, summary: "List pending approvals", query: PageQuery },
  "POST /v1/sessions": { access: SESSIONS, summary: "Create a session", body: SessionCreate },
  "GET /v1/sessions": { access: LOOK, summary: "List sessions, newest first", query: SessionListQuery },
  "GET /v1/sessions/:id": { access: LOOK, summary: "Get a session" },
  "POST /v1/sessions/:id": { access: SESSIONS, summary: "Change a session's title or metadata", body: SessionUpdate },
  "DELETE /v1/sessions/:id": { access: SESSIONS, summary: "Delete a session with its log and its files" },
  "POST /v1/sessions/:id/archive": {
    access: SESSIONS,
    summary: "Archive a session, which then accepts no more prompts",
  },
  "POST /v1/sessions/:id/fork": {
    access: SESSIONS,
    summary: "Fork a session: copy its log, files and conversation into a new one",
    body: SessionFork,
  },
  "POST /v1/sessions/:id/rewind": {
    access: SESSIONS,
    summary: "Rewind a session's files and conversation to an earlier run",
    body: SessionRewind,
  },
  "GET /v1/sessions/:id/snapshots": {
    access: LOOK,
    summary: "List the snapshots of a session's files, oldest first",
    query: SnapshotListQuery,
  },
  "GET /v1/sessions/:id/files": {
    access: LOOK,
    summary: "List a folder of the workspace",
    query: WorkspaceListQuery,
  },
  "GET /v1/sessions/:id/files/:path{.+}": {
    access: CONTENTS,
    summary: "Read a file of the workspace, or a range of it",
    query: WorkspaceFileQuery,
  },
  "PUT /v1/sessions/:id/files/:path{.+}": { access: SESSIONS, summary: "Write a file in the workspace" },
  "DELETE /v1/sessions/:id/files/:path{.+}": {
    access: SESSIONS,
    summary: "Delete a file or folder from the workspace",
  },
  "GET /v1/sessions/:id/archive": {
    access: CONTENTS,
    summary: "Download the workspace, or a folder of it, as a zip file",
    query: ArchiveQuery,
  },
  "GET /v1/sessions/:id/diff": {
    access: CONTENTS,
    summary: "Show what a run or the whole session changed in the workspace",
    query: DiffQuery,
  },
  "GET /v1/sessions/:id/sandbox": {
    access: LOOK,
    summary: "Get the state of a session's sandbox: stopped, starting, ready, busy, saving, idle or lost",
  },
  "GET /v1/sessions/:id/runs": {
    access: LOOK,
    summary: "List the runs of a session, oldest first, with their positions in the queue",
    query: RunListQuery,
  },
  "GET /v1/sessions/:id/runs/:run": {
    access: LOOK,
    summary: "Get a run and its outcome; Prefer: wait=N waits for its end",
  },
  "POST /v1/sessions/:id/runs/:run/cancel": { access: SESSIONS, summary: "Cancel a run, whether queued or running" },
  "POST /v1/sessions/:id/events": {
    access: SESSIONS,
    summary: "Send events to a session: prompts, interrupts and answers to its tool calls",
    query: SendEventsQuery,
    body: SendEvents,
  },
  "GET /v1/sessions/:id/events": { access: LOOK, summary: "List the events of a session", query: EventListQuery },
  "GET /v1/sessions/:id/events/stream": {
    access: LOOK,
    summary: "Stream the events of a session as they happen, starting after any event",
    query: EventStreamQuery,
  },
  "GET /v1/sessions/:id/events/ws": {
    access: LOOK,
    summary: "Stream the events of a session over a WebSocket",
    query: EventSocketQuery,
  },
  "GET /v1/sessions/:id/threads": {
    access: LOOK,
    summary: "List the threads of a session: the primary thread and one per sub-agent",
    query: ThreadListQuery,
  },
  "GET /v1/sessions/:id/threads/:thread": { access: LOOK, summary: "Get a thread" },
  "POST /v1/sessions/:id/threads/:thread/archive": {
    access: SESSIONS,
    summary: "Archive a thread that is not running",
  },
  "GET /v1/sessions/:id/threads/:thread/events": {
    access: LOOK,
    summary: "List the events of a thread",
    query: EventListQuery,
  },
  "GET /v1/sessions/:id/threads/:thread/stream": {
    access: LOOK,
    summary: "Stream the events of a thread as they happen, starting after any event",
    query: EventStreamQuery,
  },
  "POST /v1/sessions/:id/resources": {
    access: SESSIONS,
    summary: "Add a file to a session; it is mounted before the next run",
    body: FileResource,
  },
  "GET /v1/sessions/:id/resources": {
    access: LOOK,
    summary: "List the files and repositories of a session, newest first",
    query: ResourceListQuery,
  },
  "GET /v1/sessions/:id/resources/:resource": { access: LOOK, summary: "Get a file or repository of a session" },
  "POST /v1/sessions/:id/resources/:resource": {
    access: SESSIONS,
    summary: "Replace a repository's credential",
    body: ResourceUpdate,
  },
  "DELETE /v1/sessions/:id/resources/:resource": {
    access: SESSIONS,
    summary: "Remove a file, or a repository's credential, from a session",
  },
  "GET /sandbox/files/:file": { access: "sandbox", summary: "For the runner: read a file that is to be mounted" },
  "GET /sandbox/git/:resource/:rest{.+}": {
    access: "sandbox",
    summary: "For git in a sandbox: list the refs of a repository",
    query: AnyQuery,
  },
  "POST /sandbox/git/:resource/:rest{.+}": {
    access: "sandbox",
    summary: "For git in a sandbox: fetch from a repository",
    query: AnyQuery,
  },
  "POST /sandbox/outputs": {
    access: "sandbox",
    summary: "For the runner: store a file that the agent made",
    query: z.strictObject({ name: z.string() }),
  },
  "GET /sandbox/mcp/:index": {
    access: "sandbox",
    summary: "For the engine: receive from an MCP server, with the vault's credential",
  },
  "POST /sandbox/mcp/:index": {
    access: "sandbox",
    summary: "For the engine: send to an MCP server, with the vault's credential",
  },
  "DELETE /sandbox/mcp/:index": {
    access: "sandbox",
    summary: "For the engine: end a conversation with an MCP server",
  },
  "POST /v1/vaults": { access: CATALOG_CHANGE, summary: "Create a vault for credentials", body: VaultCreate },
  "GET /v1/vaults": { access: CATALOG_LOOK, summary: "List vaults, newest first", query: VaultListQuery },
  "GET /v1/vaults/:id": { access: CATALOG_LOOK, summary: "Get a vault" },
  "POST /v1/vaults/:id": { access: CATALOG_CHANGE, summary: "Change a vault's name or metadata", body: VaultUpdate },
  "DELETE /v1/vaults/:id": { access: CATALOG_CHANGE, summary: "Delete a vault with its credentials" },
  "POST /v1/vaults/:id/archive": { access: CATALOG_CHANGE, summary: "Archive a vault and destroy its secrets" },
  "POST /v1/vaults/:id/credentials": {
    access: CATALOG_CHANGE,
    summary: "Add a credential for an MCP server to a vault; its secret is never shown",
    body: CredentialCreate,
  },
  "GET /v1/vaults/:id/credentials": {
    access: CATALOG_LOOK,
    summary: "List the credentials of a vault, newest first, without their secrets",
    query: VaultListQuery,
  },
  "GET /v1/vaults/:id/credentials/:credential": {
    access: CATALOG_LOOK,
    summary: "Get a credential, without its secret",
  },
  "POST /v1/vaults/:id/credentials/:credential": {
    access: CATALOG_CHANGE,
    summary: "Change a credential's secret, name or metadata",
    body: CredentialUpdate,
  },
  "DELETE /v1/vaults/:id/credentials/:credential": { access: CATALOG_CHANGE, summary: "Delete a credential" },
  "POST /v1/vaults/:id/credentials/:credential/archive": {
    access: CATALOG_CHANGE,
    summary: "Archive a credential and destroy its secret",
  },
  "POST /v1/vaults/:id/credentials/:credential/mcp_oauth_validate": {
    access: CATALOG_CHANGE,
    summary: "Check whether the MCP server accepts a credential",
  },
  "POST /v1/agents": { access: CATALOG_CHANGE, summary: "Create an agent", body: AgentCreate },
  "GET /v1/agents": { access: CATALOG_LOOK, summary: "List agents, newest first", query: AgentListQuery },
  "GET /v1/agents/:id": { access: CATALOG_LOOK, summary: "Get an agent, or an older version of it", query: AgentQuery },
  "POST /v1/agents/:id": {
    access: CATALOG_CHANGE,
    summary: "Change an agent, which creates a new version",
    body: AgentUpdate,
  },
  "GET /v1/agents/:id/versions": {
    access: CATALOG_LOOK,
    summary: "List the versions of an agent, newest first",
    query: PageQuery,
  },
  "POST /v1/agents/:id/archive": { access: CATALOG_CHANGE, summary: "Archive an agent" },
  "POST /v1/environments": { access: CATALOG_CHANGE, summary: "Create an environment", body: EnvironmentCreate },
  "GET /v1/environments": {
    access: CATALOG_LOOK,
    summary: "List environments, newest first",
    query: EnvironmentListQuery,
  },
  "GET /v1/environments/:id": { access: CATALOG_LOOK, summary: "Get an environment" },
  "POST /v1/environments/:id": { access: CATALOG_CHANGE, summary: "Change an environment", body: EnvironmentUpdate },
  "DELETE /v1/environments/:id": { access: CATALOG_CHANGE, summary: "Delete an environment" },
  "POST /v1/environments/:id/archive": { access: CATALOG_CHANGE, summary: "Archive an environment" },
  "GET /v1/environments/:id/work": {
    access: WORK_LOOK,
    summary: "List the work items of a self-hosted environment, newest first",
    query: PageQuery,
  },
  "GET /v1/environments/:id/work/poll": {
    access: WORK,
    summary: "For workers: take a work item with its credential; null when there is none",
    query: WorkPollQuery,
  },
  "GET /v1/environments/:id/work/stats": {
    access: WORK_LOOK,
    summary: "Get the number of waiting work items and of polling workers",
  },
  "GET /v1/environments/:id/work/:work": { access: WORK_LOOK, summary: "Get a work item" },
  "POST /v1/environments/:id/work/:work": {
    access: WORK_CHANGE,
    summary: "Change a work item's metadata",
    body: WorkUpdate,
  },
  "POST /v1/environments/:id/work/:work/ack": { access: WORK, summary: "For workers: acknowledge a work item" },
  "POST /v1/environments/:id/work/:work/heartbeat": {
    access: WORK,
    summary: "For workers: extend the lease of a work item",
    query: WorkHeartbeatQuery,
  },
  "POST /v1/environments/:id/work/:work/stop": { access: WORK_CHANGE, summary: "Stop a work item", body: WorkStop },
  "POST /v1/templates": { access: CATALOG_CHANGE, summary: "Create a session template", body: TemplateCreate },
  "GET /v1/templates": { access: CATALOG_LOOK, summary: "List templates, newest first", query: TemplateListQuery },
  "GET /v1/templates/:id": { access: CATALOG_LOOK, summary: "Get a template" },
  "POST /v1/templates/:id": { access: CATALOG_CHANGE, summary: "Change a template", body: TemplateUpdate },
  "POST /v1/templates/:id/archive": { access: CATALOG_CHANGE, summary: "Archive a template" },
  "POST /v1/files": { access: FILES, summary: "Upload a file as a form", form: true },
  "GET /v1/files": { access: FILES_LOOK, summary: "List files, newest first", query: FileListQuery },
  "GET /v1/files/:id": { access: FILES_LOOK, summary: "Get a file's metadata" },
  "GET /v1/files/:id/content": { access: FILES, summary: "Download a file" },
  "DELETE /v1/files/:id": { access: FILES, summary: "Delete a file" },
  "POST /v1/keys": {
    access: ADMIN,
    summary: "Create a key; the answer shows it only once",
    body: KeyCreate,
    secret: true,
  },
  "GET /v1/keys": { access: ADMIN, summary: "List keys, newest first", query: AccountPageQuery },
  "GET /v1/keys/:id": { access: ADMIN, summary: "Get a key", query: AccountQuery },
  "DELETE /v1/keys/:id": { access: ADMIN, summary: "Revoke a key", query: AccountQuery },
  "GET /v1/audit": {
    access: ADMIN,
    summary: "List the entries of the audit log, newest first",
    query: AccountPageQuery,
  },
} as const satisfies Record<string, Route>;

/** Method and pattern of a route, as the table writes them. */
export type RouteName = keyof typeof ROUTES;

/** The description of a route, or null. Checks own properties only, so that `constructor` is not a route. */
export function routeOf(method: string, pattern: string): Route | null {
  const name = `${method} ${pattern}`;
  return Object.hasOwn(ROUTES, name) ? ROUTES[name as RouteName] : null;
}

/** Access to a route. A route that the table does not know is open to `admin` only. */
export function accessTo(method: string, pattern: string): Access {
  return routeOf(method, pattern)?.access ?? ADMIN;
}

/** Method and pattern of all routes. */
export const ROUTE_NAMES = Object.keys(ROUTES) as RouteName[];

/** Routes that a client may use. The doors for sandboxes are left out. */
export const PUBLIC_ROUTES = ROUTE_NAMES.filter((name) => ROUTES[name].access !== "sandbox");

/** The query schema of a route. */
export function querySchemaOf(route: Route): z.ZodObject {
  return route.query ?? NoQuery;
}
