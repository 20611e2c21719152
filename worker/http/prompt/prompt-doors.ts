import { ContainerProcess } from "@gantry/protocol/api/container.ts";
import { AgentMessage, QueryRequest } from "@gantry/protocol/api/doors.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import type { RunEnded } from "@gantry/protocol/run-end.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { modelsOf } from "../../models/models.ts";
import { SOCKET_MAX_TURNS, toSocketRequest } from "../../session/sockets/sockets.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { tellingRequestId } from "../request/idempotency.ts";
import { namedSession, toTarget } from "../../session/call/named-session.ts";
import type { SessionTarget } from "../../session/call/named-session.ts";
import { toLines } from "../../base/ndjson.ts";
import { actorOf } from "../request/query.ts";
import { VERSION } from "../about/root.ts";
import type { WantedOptions } from "../../session/store/run-options.ts";
import { runErrorStatus } from "@gantry/protocol/story-lines.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";
import { submitPrompt } from "../request/submit.ts";
import { runnerHealth, runnerHealthNow } from "../../sandbox/space.ts";
import { sandboxLevel } from "../../session/parts/sandbox.ts";

/** The doors of the seeds beside `/claude-code`: each is a thin view of a session. */

/** `GET /demo/ws/{sessionId}`: a WebSocket on a session by a name of the client's. `?after=SEQ` continues after an event. */
export async function demoSocket(c: Context<App>): Promise<Response> {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new RequestRefused({ code: "invalid_request", field: "upgrade", reason: "this address is a WebSocket" });
  }
  const { account } = c.get("principal");
  const target = toTarget(c.req.param("sessionId") ?? "");
  const sessionId = typeof target === "string" ? target : await namedSession(c.env, actorOf(c), target);
  const stub = toSessionStub(c.env, sessionId);
  if (!(await stub.exists(account))) throw unknownSession(sessionId);
  const after = Math.max(0, Math.trunc(Number(c.req.query("after"))) || 0);
  return stub.fetch(
    toSocketRequest(c.req.raw, { account, view: "demo", previews: false, confirms: false, cursor: String(after) }),
  );
}

/** `POST /agent/message`: for clients without WebSocket; the same sessions as theirs. Answers when the run has ended. */
export async function agentMessage(c: Context<App>): Promise<Response> {
  const { message, sessionId: name, model } = await readJson(c.req.raw, AgentMessage);
  const { sessionId, ended, headers } = await runToEnd(
    c,
    toTarget(name),
    message,
    "agent-message",
    model === undefined ? {} : { model },
  );
  if (ended.outcome !== "succeeded") return failed(ended, sessionId, tellingRequestId(c), headers);
  return c.json({ status: "Message processed", timestamp: Date.now(), sessionId, result: ended.result }, 200, headers);
}

/** `POST /query`: prompts of one `accountId` run one after the other, in order; of two, side by side. */
export async function query(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, QueryRequest);
  const target = { door: "query", name: body.accountId, field: "accountId" };
  const { ended, headers } = await runToEnd(c, target, body.query, "query");
  if (ended.outcome === "succeeded") return c.json({ success: true, response: ended.result }, 200, headers);
  const error = ended.error?.message ?? `The run was ${ended.outcome}.`;
  return Response.json(
    { success: false, error },
    { status: runErrorStatus(ended.error?.type ?? ended.outcome), headers },
  );
}

/** `POST /container/process`: a prompt for a sandbox of its own, or for a session's. */
export async function containerProcess(c: Context<App>): Promise<Response> {
  const { payload, config } = await readJson(c.req.raw, ContainerProcess);
  const given = {
    ...(config.model === undefined ? {} : { model: config.model }),
    ...(config.maxTurns === undefined ? {} : { maxTurns: config.maxTurns }),
    ...(config.permissionMode === undefined ? {} : { permissionMode: config.permissionMode }),
  };
  const { sessionId, ended, headers } = await runToEnd(
    c,
    payload.sessionId ?? null,
    payload.prompt,
    "container",
    given,
  );
  if (ended.outcome !== "succeeded") return failed(ended, sessionId, tellingRequestId(c), headers);
  const body = { success: true, message: "Processed", result: ended.result, sessionId };
  return c.json(body, 200, headers);
}

/** `GET /container/health`: the place where agents run. On Cloudflare each session has its own, and nothing is shared. */
export async function containerHealth(c: Context<App>): Promise<Response> {
  const runner = c.env.RUNNER_URL === undefined ? null : await runnerHealthNow(c.env);
  const shared = c.env.RUNNER_URL !== undefined;
  const status = shared && runner === null ? "unreachable" : "healthy";
  const level = sandboxLevel(c.env);
  return c.json({ status, version: VERSION, level, runner }, status === "healthy" ? 200 : 503);
}

/** `GET /debug`, `GET /claude-code/debug`: how this server is set up. Names of what is set, never a value of a secret. */
export async function debug(c: Context<App>): Promise<Response> {
  const router = modelsOf(c.env);
  const runner = await runnerHealth(c.env);
  const texts = Object.entries(c.env as unknown as Record<string, unknown>).filter(
    ([, value]) => typeof value === "string",
  );
  return c.json({
    version: VERSION,
    requestId: c.get("requestId"),
    model: router.defaultModel,
    routes: router.routeNames(),
    permissionMode: c.env.GANTRY_PERMISSION_MODE ?? "acceptEdits",
    sandbox: { level: sandboxLevel(c.env), ...runner },
    environment: Object.fromEntries(texts.map(([name]) => [name, "[set]"])),
  });
}

/** A run that has ended, and where it is. */
interface Told {
  readonly sessionId: string;
  readonly ended: RunEnded;
  readonly headers: Record<string, string>;
}

/** Runs a prompt to its end, in a session of its own where none is named. */
async function runToEnd(
  c: Context<App>,
  target: SessionTarget,
  prompt: string,
  trigger: string,
  given: WantedOptions = {},
): Promise<Told> {
  const { stub, after, runId, sessionId } = await submitPrompt(c, target, {
    prompt: [{ type: "text", text: prompt }],
    options: { maxTurns: SOCKET_MAX_TURNS, ...given },
    trigger,
  });
  const shape = { format: "ndjson", view: "all", previews: false, untilRun: runId } as const;
  const events = await stub.follow(c.get("principal").account, String(after), shape);
  if (typeof events === "string") throw unknownSession(sessionId);
  const headers = { "x-session-id": sessionId, "x-run-id": runId, "cache-control": "no-store" };
  for await (const line of toLines(events)) {
    const event = line === "" ? null : (JSON.parse(line) as StoredEvent);
    if (event?.type === "run.ended" && event.run_id === runId) return { sessionId, ended: event, headers };
  }
  throw new Error(`the log of ${sessionId} ended before run ${runId} did`);
}

function failed(ended: RunEnded, sessionId: string, requestId: string, headers: Record<string, string>): Response {
  const error = ended.error?.type ?? ended.outcome;
  return Response.json(
    { type: "error", error, message: ended.error?.message ?? `The run was ${ended.outcome}.`, sessionId, requestId },
    { status: runErrorStatus(error), headers },
  );
}
