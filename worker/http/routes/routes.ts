import { AgentCreate, AgentListQuery, AgentQuery, AgentUpdate } from "@gantry/protocol/api/agents.ts";
import { NoQuery, PageQuery } from "@gantry/protocol/api/common.ts";
import { ContainerProcess } from "@gantry/protocol/api/container.ts";
import { AgentMessage, ClaudeCodeRequest, ClaudeCodeRunQuery, QueryRequest } from "@gantry/protocol/api/doors.ts";
import { EnvironmentCreate, EnvironmentListQuery, EnvironmentUpdate } from "@gantry/protocol/api/environments.ts";
import { FileListQuery } from "@gantry/protocol/api/files.ts";
import { AccountPageQuery, AccountQuery, KeyCreate } from "@gantry/protocol/api/keys.ts";
import type { Scope } from "@gantry/protocol/api/keys.ts";
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

/**
 * Who may use a route: anybody, or a key that has one of the scopes (or `admin`, which has all); `sandbox`: a session's
 * own token alone, no key.
 */
export type Access = "open" | "sandbox" | readonly Scope[];

/** What there is to say of a route. Guards, doors and the OpenAPI document all read it here. */
export interface Route {
  readonly access: Access;
  /** One line for people. */
  readonly summary: string;
  /** What its query may be; checked before the door is asked. Without: nothing but `COMMON_QUERY`. */
  readonly query?: z.ZodObject;
  /** What its JSON body must be: the schema that its door reads it with. */
  readonly body?: z.ZodType;
  /** Its body is a form, which is read piece by piece. */
  readonly form?: true;
  /** Its answer holds a secret that is stored nowhere. */
  readonly secret?: true;
}

const LOOK = ["read", "sessions"] as const;
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

/** Doors that must answer whatever a monitor or another provider's client puts behind the question mark. */
const AnyQuery = z.looseObject({});

/** Every route, by method and Hono's pattern. A route without its line here does not compile (`doors.ts`). */
export const ROUTES = {
  "GET /": { access: "open", summary: "What this is and how to begin", query: AnyQuery },
  "GET /health": { access: "open", summary: "Whether it is well", query: AnyQuery },
  "GET /openapi.json": { access: "open", summary: "All of this for programs: OpenAPI 3.1", query: AnyQuery },
  "GET /docs": { access: "open", summary: "All of this for people", query: AnyQuery },
  "POST /claude-code": {
    access: SESSIONS,
    summary: "A prompt in, the run's story out: a JSON object a line, or one at the end",
    body: ClaudeCodeRequest,
  },
  "GET /claude-code/:sessionId/:runId": {
    access: LOOK,
    summary: "The story of a run once more, from any line on",
    query: ClaudeCodeRunQuery,
  },
  "GET /demo/ws/:sessionId": {
    access: SESSIONS,
    summary: "A WebSocket on a session of your own name",
    query: z.strictObject({ after: z.string().optional() }),
  },
  "POST /agent/message": { access: SESSIONS, summary: "The same, without WebSocket", body: AgentMessage },
  "POST /query": {
    access: SESSIONS,
    summary: "A question in, an answer out; in order for each accountId",
    body: QueryRequest,
  },
  "POST /container/process": {
    access: SESSIONS,
    summary: "A prompt for a sandbox of its own; answers when it has ended",
    body: ContainerProcess,
  },
  "GET /container/health": { access: LOOK, summary: "How the place where agents run is" },
  "GET /debug": { access: ADMIN, summary: "How this server is set up, without secrets" },
  "GET /claude-code/debug": { access: ADMIN, summary: "The same under the seeds' name" },
  "POST /v1/messages": {
    access: MODELS,
    summary: "The model router, for any Anthropic client",
    query: AnyQuery,
  },
  "POST /v1/messages/count_tokens": { access: MODELS, summary: "Tokens of a request", query: AnyQuery },
  "POST /v1/chat/completions": { access: MODELS, summary: "The router for OpenAI's clients", query: AnyQuery },
  "GET /v1/models": { access: MODELS_LOOK, summary: "What the routes offer", query: ModelListQuery },
  "GET /v1/models/:id{.+}": { access: MODELS_LOOK, summary: "One model" },
  "GET /v1/usage": { access: LOOK, summary: "Tokens and cost by day, model, key and session", query: UsageQuery },
  "GET /v1/approvals": { access: LOOK, summary: "Tool calls that wait for somebody", query: PageQuery },
  "POST /v1/sessions": { access: SESSIONS, summary: "Make a session", body: SessionCreate },
  "GET /v1/sessions": { access: LOOK, summary: "Sessions, newest first", query: SessionListQuery },
  "GET /v1/sessions/:id": { access: LOOK, summary: "One session" },
  "POST /v1/sessions/:id": { access: SESSIONS, summary: "Change a session's title or metadata", body: SessionUpdate },
  "DELETE /v1/sessions/:id": { access: SESSIONS, summary: "Delete a session, its log and its files" },
  "POST /v1/sessions/:id/archive": { access: SESSIONS, summary: "Archive a session: it takes no more prompts" },
  "POST /v1/sessions/:id/fork": {
    access: SESSIONS,
    summary: "A new session that begins where this one stood: log, files and conversation",
    body: SessionFork,
  },
  "POST /v1/sessions/:id/rewind": {
    access: SESSIONS,
    summary: "Files and conversation as an older run left them",
    body: SessionRewind,
  },
  "GET /v1/sessions/:id/snapshots": {
    access: LOOK,
    summary: "Saved states of a session's files",
    query: SnapshotListQuery,
  },
  "GET /v1/sessions/:id/files": {
    access: LOOK,
    summary: "What lies in a folder of the workspace",
    query: WorkspaceListQuery,
  },
  "GET /v1/sessions/:id/files/:path{.+}": {
    access: LOOK,
    summary: "A file of the workspace, whole or a range of it",
    query: WorkspaceFileQuery,
  },
  "PUT /v1/sessions/:id/files/:path{.+}": { access: SESSIONS, summary: "Write a file of the workspace" },
  "DELETE /v1/sessions/:id/files/:path{.+}": { access: SESSIONS, summary: "Remove a file or folder of the workspace" },
  "GET /v1/sessions/:id/archive": { access: LOOK, summary: "The workspace as a zip file", query: ArchiveQuery },
  "GET /v1/sessions/:id/diff": {
    access: LOOK,
    summary: "What a run, or the session, changed in the workspace",
    query: DiffQuery,
  },
  "GET /v1/sessions/:id/sandbox": {
    access: LOOK,
    summary: "How a session's sandbox is: stopped, starting, ready, busy, saving, idle or lost",
  },
  "GET /v1/sessions/:id/runs": {
    access: LOOK,
    summary: "Prompts of a session, oldest first, with their place in the queue",
    query: RunListQuery,
  },
  "GET /v1/sessions/:id/runs/:run": { access: LOOK, summary: "One run and how it ended; Prefer: wait=N waits for it" },
  "POST /v1/sessions/:id/runs/:run/cancel": { access: SESSIONS, summary: "Take a run out of the queue, or stop it" },
  "POST /v1/sessions/:id/events": {
    access: SESSIONS,
    summary: "Prompt, interrupt or answer a session",
    query: SendEventsQuery,
    body: SendEvents,
  },
  "GET /v1/sessions/:id/events": { access: LOOK, summary: "A page of a session's log", query: EventListQuery },
  "GET /v1/sessions/:id/events/stream": {
    access: LOOK,
    summary: "The log as it is written, from any event on",
    query: EventStreamQuery,
  },
  "GET /v1/sessions/:id/events/ws": {
    access: LOOK,
    summary: "The same by WebSocket, a frame a commit",
    query: EventSocketQuery,
  },
  "GET /v1/sessions/:id/threads": {
    access: LOOK,
    summary: "A session's threads: the primary one, and one a sub-agent",
    query: ThreadListQuery,
  },
  "GET /v1/sessions/:id/threads/:thread": { access: LOOK, summary: "One thread" },
  "POST /v1/sessions/:id/threads/:thread/archive": {
    access: SESSIONS,
    summary: "Archive a thread that is not running",
  },
  "GET /v1/sessions/:id/threads/:thread/events": {
    access: LOOK,
    summary: "A page of a thread's log",
    query: EventListQuery,
  },
  "GET /v1/sessions/:id/threads/:thread/stream": {
    access: LOOK,
    summary: "A thread's log as it is written, from any event on",
    query: EventStreamQuery,
  },
  "POST /v1/sessions/:id/resources": {
    access: SESSIONS,
    summary: "Mount a file before the next run",
    body: FileResource,
  },
  "GET /v1/sessions/:id/resources": {
    access: LOOK,
    summary: "Files and repositories of a session, newest first",
    query: ResourceListQuery,
  },
  "GET /v1/sessions/:id/resources/:resource": { access: LOOK, summary: "One of them" },
  "POST /v1/sessions/:id/resources/:resource": {
    access: SESSIONS,
    summary: "Another credential for a repository",
    body: ResourceUpdate,
  },
  "DELETE /v1/sessions/:id/resources/:resource": { access: SESSIONS, summary: "Take a file or a credential away" },
  "GET /sandbox/files/:file": { access: "sandbox", summary: "For the runner: a file that is mounted" },
  "GET /sandbox/git/:resource/:rest{.+}": { access: "sandbox", summary: "For git in a sandbox", query: AnyQuery },
  "POST /sandbox/git/:resource/:rest{.+}": { access: "sandbox", summary: "The same", query: AnyQuery },
  "POST /sandbox/outputs": {
    access: "sandbox",
    summary: "For the runner: a file that the agent made",
    query: z.strictObject({ name: z.string() }),
  },
  "GET /sandbox/mcp/:place": {
    access: "sandbox",
    summary: "For the engine: an MCP server, with the vault's credential",
  },
  "POST /sandbox/mcp/:place": { access: "sandbox", summary: "The same" },
  "DELETE /sandbox/mcp/:place": { access: "sandbox", summary: "The same" },
  "POST /v1/vaults": { access: CATALOG_CHANGE, summary: "Make a vault for credentials", body: VaultCreate },
  "GET /v1/vaults": { access: CATALOG_LOOK, summary: "Vaults, newest first", query: VaultListQuery },
  "GET /v1/vaults/:id": { access: CATALOG_LOOK, summary: "One vault" },
  "POST /v1/vaults/:id": { access: CATALOG_CHANGE, summary: "Change a vault's name or metadata", body: VaultUpdate },
  "DELETE /v1/vaults/:id": { access: CATALOG_CHANGE, summary: "Delete a vault and what is in it" },
  "POST /v1/vaults/:id/archive": { access: CATALOG_CHANGE, summary: "Archive a vault and destroy its secrets" },
  "POST /v1/vaults/:id/credentials": {
    access: CATALOG_CHANGE,
    summary: "Put a credential for an MCP server into a vault; its secret is never shown",
    body: CredentialCreate,
  },
  "GET /v1/vaults/:id/credentials": {
    access: CATALOG_LOOK,
    summary: "Credentials of a vault, newest first, without their secrets",
    query: VaultListQuery,
  },
  "GET /v1/vaults/:id/credentials/:credential": { access: CATALOG_LOOK, summary: "One of them" },
  "POST /v1/vaults/:id/credentials/:credential": {
    access: CATALOG_CHANGE,
    summary: "Another secret, name or metadata",
    body: CredentialUpdate,
  },
  "DELETE /v1/vaults/:id/credentials/:credential": { access: CATALOG_CHANGE, summary: "Delete a credential" },
  "POST /v1/vaults/:id/credentials/:credential/archive": {
    access: CATALOG_CHANGE,
    summary: "Archive a credential and destroy its secret",
  },
  "POST /v1/vaults/:id/credentials/:credential/mcp_oauth_validate": {
    access: CATALOG_CHANGE,
    summary: "Whether its server takes a credential",
  },
  "POST /v1/agents": { access: CATALOG_CHANGE, summary: "Configure an agent", body: AgentCreate },
  "GET /v1/agents": { access: CATALOG_LOOK, summary: "Agents, newest first", query: AgentListQuery },
  "GET /v1/agents/:id": { access: CATALOG_LOOK, summary: "One agent, or an older version of it", query: AgentQuery },
  "POST /v1/agents/:id": { access: CATALOG_CHANGE, summary: "A new version of an agent", body: AgentUpdate },
  "GET /v1/agents/:id/versions": { access: CATALOG_LOOK, summary: "Versions, newest first", query: PageQuery },
  "POST /v1/agents/:id/archive": { access: CATALOG_CHANGE, summary: "Archive an agent" },
  "POST /v1/environments": { access: CATALOG_CHANGE, summary: "Describe an environment", body: EnvironmentCreate },
  "GET /v1/environments": { access: CATALOG_LOOK, summary: "Environments, newest first", query: EnvironmentListQuery },
  "GET /v1/environments/:id": { access: CATALOG_LOOK, summary: "One environment" },
  "POST /v1/environments/:id": { access: CATALOG_CHANGE, summary: "Change an environment", body: EnvironmentUpdate },
  "DELETE /v1/environments/:id": { access: CATALOG_CHANGE, summary: "Delete an environment" },
  "POST /v1/environments/:id/archive": { access: CATALOG_CHANGE, summary: "Archive an environment" },
  "GET /v1/environments/:id/work": {
    access: WORK_LOOK,
    summary: "Work of a self-hosted environment, newest first",
    query: PageQuery,
  },
  "GET /v1/environments/:id/work/poll": {
    access: WORK,
    summary: "For workers: work that nobody has, with the credential for it, or null",
    query: WorkPollQuery,
  },
  "GET /v1/environments/:id/work/stats": {
    access: WORK_LOOK,
    summary: "How much work waits, and how many workers ask",
  },
  "GET /v1/environments/:id/work/:work": { access: WORK_LOOK, summary: "One work item" },
  "POST /v1/environments/:id/work/:work": { access: WORK_CHANGE, summary: "Change its metadata", body: WorkUpdate },
  "POST /v1/environments/:id/work/:work/ack": { access: WORK, summary: "For workers: the work was received" },
  "POST /v1/environments/:id/work/:work/heartbeat": {
    access: WORK,
    summary: "For workers: the work is still being done",
    query: WorkHeartbeatQuery,
  },
  "POST /v1/environments/:id/work/:work/stop": { access: WORK_CHANGE, summary: "End a work item", body: WorkStop },
  "POST /v1/templates": { access: CATALOG_CHANGE, summary: "Describe where sessions begin", body: TemplateCreate },
  "GET /v1/templates": { access: CATALOG_LOOK, summary: "Templates, newest first", query: TemplateListQuery },
  "GET /v1/templates/:id": { access: CATALOG_LOOK, summary: "One template" },
  "POST /v1/templates/:id": { access: CATALOG_CHANGE, summary: "Change a template", body: TemplateUpdate },
  "POST /v1/templates/:id/archive": { access: CATALOG_CHANGE, summary: "Archive a template" },
  "POST /v1/files": { access: FILES, summary: "Upload a file, as a form", form: true },
  "GET /v1/files": { access: FILES_LOOK, summary: "Files, newest first", query: FileListQuery },
  "GET /v1/files/:id": { access: FILES_LOOK, summary: "What is known of a file" },
  "GET /v1/files/:id/content": { access: FILES, summary: "The bytes of a file" },
  "DELETE /v1/files/:id": { access: FILES, summary: "Delete a file" },
  "POST /v1/keys": { access: ADMIN, summary: "Make a key; it is shown this once", body: KeyCreate, secret: true },
  "GET /v1/keys": { access: ADMIN, summary: "Keys, newest first", query: AccountPageQuery },
  "GET /v1/keys/:id": { access: ADMIN, summary: "One key", query: AccountQuery },
  "DELETE /v1/keys/:id": { access: ADMIN, summary: "Revoke a key", query: AccountQuery },
  "GET /v1/audit": { access: ADMIN, summary: "Who changed what, newest first", query: AccountPageQuery },
} as const satisfies Record<string, Route>;

/** A route as the table names it. */
export type RouteName = keyof typeof ROUTES;

/** What the table says of a route. Own names only: `constructor` is no route. */
export function routeOf(method: string, pattern: string): Route | null {
  const name = `${method} ${pattern}`;
  return Object.hasOwn(ROUTES, name) ? ROUTES[name as RouteName] : null;
}

/** Access to a route; one that the table does not know is for `admin` alone. */
export function accessTo(method: string, pattern: string): Access {
  return routeOf(method, pattern)?.access ?? ADMIN;
}

/** Method and pattern of all routes. */
export const ROUTE_NAMES = Object.keys(ROUTES) as RouteName[];

/** Those that somebody with a key may use; a sandbox's own doors are nobody else's. */
export const PUBLIC_ROUTES = ROUTE_NAMES.filter((name) => ROUTES[name].access !== "sandbox");

/** Query schema of a route. */
export function querySchemaOf(route: Route): z.ZodObject {
  return route.query ?? NoQuery;
}
