import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
import { ContainerRequest } from "@gantry/protocol/api/container.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { isId, newId, toId } from "@gantry/protocol/ids.ts";
import { jsonExcess } from "@gantry/protocol/json-limits.ts";
import type { FramedEvent, Report, RunStart } from "@gantry/protocol/link.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { StoryLines, runErrorStatus } from "@gantry/protocol/story-lines.ts";
import type { StoryLine } from "@gantry/protocol/story-lines.ts";
import type { z } from "zod";
import { guard, guarded } from "../base/guarded.ts";
import type { SessionHost } from "../host/session-host.ts";

/**
 * The container's own routes: a prompt goes in and its story lines come out. They are for users who run only the container.
 * In the product, a session uses the link instead and keeps the events in its log.
 */

/** Environment variables that provide defaults for requests. `GET /debug` hides prompts, tokens and keys. */
export const CONTAINER_VARIABLES = [
  "CLAUDE_PROMPT",
  "ANTHROPIC_MODEL",
  "CLAUDE_STREAM",
  "CLAUDE_VERBOSE",
  "CLAUDE_MAX_TURNS",
  "ANTHROPIC_BASE_URL",
  "ANTHROPIC_AUTH_TOKEN",
  "ANTHROPIC_API_KEY",
] as const;
export type ContainerVariables = Partial<Record<(typeof CONTAINER_VARIABLES)[number], string>>;

/** What the routes need from the server. */
export interface ContainerDeps {
  readonly variables: ContainerVariables;
  readonly hostOf: (sessionId: string) => SessionHost;
  /** All sessions of this process, and whether they are running or have unsaved frames. */
  readonly sessions: () => { readonly id: string; readonly busy: boolean }[];
}

const DEFAULT_MAX_TURNS = 3;
const DEADLINE_MS = 30 * 60_000;
const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** A request that is refused before it has any effect. `field` names the invalid field of the body. */
class RequestRefused extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: string | undefined;
  constructor(status: number, code: string, message: string, field?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

/** Answers a request for one of these routes, or returns false. The caller has checked the token. */
export function answerContainer(request: IncomingMessage, response: ServerResponse, deps: ContainerDeps): boolean {
  const route = `${request.method} ${new URL(request.url ?? "/", "http://container").pathname}`;
  switch (route) {
    case "GET /":
      send(response, 200, { status: "healthy", service: "claude-code-container", timestamp: new Date().toISOString() });
      return true;
    case "GET /debug":
      send(response, 200, debug(deps.variables));
      return true;
    case "GET /status":
      send(response, 200, status(deps));
      return true;
    case "POST /":
      guard("container_run", () => run(request, response, deps));
      return true;
    default:
      return false;
  }
}

/** Memory, CPU and uptime of this process, for `GET /health`. */
export function processHealth(): Record<string, unknown> {
  const { user, system } = process.cpuUsage();
  return {
    uptimeSeconds: Math.round(process.uptime()),
    memory: { rssBytes: process.memoryUsage().rss, freeBytes: freemem(), totalBytes: totalmem() },
    cpu: {
      count: availableParallelism(),
      load: loadavg(),
      userMs: Math.round(user / 1000),
      systemMs: Math.round(system / 1000),
    },
  };
}

function debug(variables: ContainerVariables): Record<string, unknown> {
  const shown = Object.fromEntries(
    CONTAINER_VARIABLES.flatMap((name) => {
      const value = variables[name];
      if (!value) return [];
      return [
        [
          name,
          name === "ANTHROPIC_BASE_URL" ? withoutUser(value) : /TOKEN|KEY|PROMPT/.test(name) ? "[REDACTED]" : value,
        ],
      ];
    }),
  );
  return {
    apiConfiguration: shown,
    processInfo: { uptime: process.uptime(), pid: process.pid, memoryUsage: process.memoryUsage() },
  };
}

function withoutUser(address: string): string {
  if (!URL.canParse(address)) return "[not an address]";
  const url = new URL(address);
  return `${url.origin}${url.pathname}`;
}

function status({ sessions }: ContainerDeps): Record<string, unknown> {
  const all = sessions();
  const busy = all.filter((session) => session.busy);
  return { status: busy.length > 0 ? "running" : "idle", running: busy.map(({ id }) => id), sessions: all.length };
}

/** `POST /`: one run per request. A client that disconnects stops its run, because no one else would see the result. */
async function run(request: IncomingMessage, response: ServerResponse, deps: ContainerDeps): Promise<void> {
  const requestId = newId("request");
  try {
    const { sessionId, command, stream, verbose } = toStart(await readBody(request), deps.variables);
    const host = deps.hostOf(sessionId);
    if (host.busy) throw new RequestRefused(409, "conflict", `Session ${sessionId} is busy with another run.`);
    const lines = new StoryLines({ sessionId, runId: command.runId, requestId, verbose });
    const headers = { "x-session-id": sessionId, "x-run-id": command.runId, "cache-control": "no-store" };
    if (stream) response.writeHead(200, { ...headers, "content-type": "text/plain; charset=utf-8" });
    const stop = (): void => {
      if (!response.writableEnded) host.handle({ type: "run.interrupt", runId: command.runId });
    };
    response.once("close", guarded("container_close", stop));
    const messages: StoryLine[] = [];
    await follow(host, command, (event) => {
      for (const line of lines.of(event)) {
        if (stream) response.write(`${JSON.stringify(line)}\n`);
        else messages.push(line);
      }
    });
    if (stream) {
      response.end();
      return;
    }
    const last = messages.pop();
    const code = last?.type === "error" ? runErrorStatus(last["error"]) : 200;
    send(response, code, { ...last, ...(verbose ? { messages } : {}) }, headers);
  } catch (error) {
    const refused =
      error instanceof RequestRefused
        ? error
        : new RequestRefused(500, "internal", "Something failed in the container.");
    const field = refused.field === undefined ? {} : { field: refused.field };
    const body = { type: "error", error: refused.code, message: refused.message, requestId, ...field };
    if (!response.headersSent) send(response, refused.status, body);
    else response.end(`${JSON.stringify(body)}\n`);
  }
}

type Start = { sessionId: string; command: RunStart; stream: boolean; verbose: boolean };

/** Builds the run from the body, with defaults from the environment. Throws `RequestRefused`. */
function toStart(body: z.infer<typeof ContainerRequest>, variables: ContainerVariables): Start {
  const prompt = body.prompt ?? variables.CLAUDE_PROMPT ?? "";
  if (prompt.trim() === "")
    throw new RequestRefused(400, "invalid_request", "prompt: is required, in the body or as CLAUDE_PROMPT", "prompt");
  const model = body.model ?? variables.ANTHROPIC_MODEL;
  if (!model)
    throw new RequestRefused(400, "invalid_request", "model: is required, in the body or as ANTHROPIC_MODEL", "model");
  const baseUrl = variables.ANTHROPIC_BASE_URL;
  if (!baseUrl)
    throw new RequestRefused(503, "sandbox_unavailable", "ANTHROPIC_BASE_URL is not set, so no model can be reached.");
  const named = body.continueSession === false ? undefined : body.sessionId;
  const sessionId = named === undefined ? newId("session") : toSessionId(named);
  const mode = body.permissionMode ?? "acceptEdits";
  const options: RunOptions = {
    model,
    permissionMode: mode === "full" ? "bypassPermissions" : mode,
    maxTurns: body.maxTurns ?? wholeOf(variables.CLAUDE_MAX_TURNS) ?? DEFAULT_MAX_TURNS,
    ...(body.systemPrompt ? { appendSystemPrompt: body.systemPrompt } : {}),
    ...(body.allowedTools ? { allowedTools: body.allowedTools } : {}),
  };
  const command: RunStart = {
    type: "run.start",
    runId: newId("run"),
    prompt: [{ type: "text", text: prompt }],
    options,
    engineSessionId: toUuid(sessionId),
    models: { baseUrl, token: variables.ANTHROPIC_AUTH_TOKEN ?? variables.ANTHROPIC_API_KEY ?? "" },
    deadlineMs: DEADLINE_MS,
  };
  const stream = body.stream ?? variables.CLAUDE_STREAM !== "false";
  const verbose = body.verbose ?? variables.CLAUDE_VERBOSE === "true";
  return { sessionId, command, stream, verbose };
}

/** Starts a run and calls `show` with each event as it happens. Resolves after the run has ended. */
function follow(host: SessionHost, command: RunStart, show: (event: StoredEvent) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let seq = 0;
    const hear = (report: Report): void => {
      if (report.type === "refused") {
        host.detach();
        return reject(
          new RequestRefused(503, "sandbox_unavailable", "The container is stopping, or is busy with this session."),
        );
      }
      if (report.type !== "frame") return;
      host.handle({ type: "ack", frame: report.frame });
      if (report.runId !== command.runId) return;
      for (const event of report.events as FramedEvent[]) {
        seq += 1;
        const header = { seq, run_id: command.runId, processed_at: new Date(event.at).toISOString() };
        show({ ...event, ...header } as unknown as StoredEvent);
        if (event.type !== "run.ended") continue;
        host.detach();
        resolve();
      }
    };
    host.attach(hear, { cursor: null });
    show(queued(command));
    host.handle(command);
  });
}

/** The event behind the first story line of every run. */
function queued({ runId }: RunStart): StoredEvent {
  const header = { id: newId("event"), seq: 0, run_id: runId, processed_at: new Date().toISOString() };
  return { type: "run.queued", position: 0, trigger: "container", ...header };
}

async function readBody(request: IncomingMessage): Promise<z.infer<typeof ContainerRequest>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  if (size > MAX_BODY_BYTES)
    throw new RequestRefused(413, "body_too_large", `The body is larger than ${MAX_BODY_BYTES} bytes.`);
  const text = Buffer.concat(chunks).toString("utf8");
  let value: unknown;
  try {
    // An empty body is allowed, because every value may come from the environment.
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new RequestRefused(
      400,
      "malformed_json",
      `The body is not valid JSON: ${error instanceof Error ? error.message : ""}`,
    );
  }
  const excess = jsonExcess(value);
  if (excess !== null) throw new RequestRefused(400, "invalid_request", `body: ${excess}`, "body");
  const parsed = ContainerRequest.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field =
    [...(issue?.path ?? []), ...(issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [])].join(".") ||
    "body";
  const reason = issue?.code === "unrecognized_keys" ? "unknown field" : (issue?.message ?? "invalid");
  throw new RequestRefused(400, "invalid_request", `${field}: ${reason}`, field);
}

/** The session id for a name. The same name always gives the same id. */
function toSessionId(name: string): string {
  return isId("session", name) ? name : toId("session", 0, createHash("sha512").update(name).digest());
}

/** Id of the engine's conversation. It is derived from the session's id, so it need not be stored. */
function toUuid(sessionId: string): string {
  const hex = createHash("sha256").update(sessionId).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}

/** A positive integer, or undefined. */
function wholeOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}

function send(response: ServerResponse, code: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(code, { ...headers, "content-type": "application/json" }).end(JSON.stringify(body));
}
