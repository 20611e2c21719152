import { AgentMessage, QueryRequest } from "@gantry/protocol/api/doors.ts";
import type { RunEnded, StoredEvent } from "@gantry/protocol/event.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import type { Env } from "../env.ts";
import { modelsOf } from "../models.ts";
import { SOCKET_MAX_TURNS, toSocketRequest } from "../session/sockets.ts";
import { readJson } from "./body.ts";
import type { App } from "./context.ts";
import { tellingRequestId } from "./idempotency.ts";
import { namedSession } from "./named-session.ts";
import { toLines } from "./ndjson.ts";
import { VERSION } from "./root.ts";
import { completeOptions } from "./run-options.ts";
import { runErrorStatus } from "./seed-lines.ts";
import { sessionStub, submit, unknownSession } from "./sessions.ts";
import { runnerHealth } from "./space.ts";

/** The doors of the seeds beside `/claude-code`: each is a thin view of a session. */

/** `GET /demo/ws/{sessionId}`: a WebSocket on a session by a name of the client's. `?after=SEQ` continues after an event. */
export async function demoSocket(c: Context<App>): Promise<Response> {
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new RequestRefused({ code: "invalid_request", field: "upgrade", reason: "this address is a WebSocket" });
  }
  const { account } = c.get("principal");
  const name = c.req.param("sessionId") ?? "";
  const sessionId = await demoSession(c.env, account, name);
  const stub = sessionStub(c.env, sessionId);
  if (!(await stub.exists(account))) throw unknownSession(sessionId);
  const after = Math.max(0, Math.trunc(Number(c.req.query("after"))) || 0);
  return stub.fetch(
    toSocketRequest(c.req.raw, { account, view: "demo", previews: false, confirms: false, cursor: String(after) }),
  );
}

/** The session that the WebSocket and `/agent/message` share: by its id, or by a name of the client's. */
async function demoSession(env: Env, account: string, name: string): Promise<string> {
  return name.startsWith("sesn_") ? name : namedSession(env, account, "demo", name, "sessionId");
}

/** `POST /agent/message`: for clients without WebSocket; the same sessions as theirs. Answers when the run has ended. */
export async function agentMessage(c: Context<App>): Promise<Response> {
  const { message, sessionId: name, model } = await readJson(c.req.raw, AgentMessage);
  const { account } = c.get("principal");
  const sessionId = await demoSession(c.env, account, name);
  const { ended, headers } = await runToEnd(c, sessionId, message, "agent-message", model);
  if (ended.outcome !== "succeeded") return failed(ended, sessionId, tellingRequestId(c), headers);
  return c.json({ status: "Message processed", timestamp: Date.now(), sessionId, result: ended.result }, 200, headers);
}

/** `POST /query`: prompts of one `accountId` run one after the other, in order; of two, side by side. */
export async function query(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, QueryRequest);
  const { account } = c.get("principal");
  const sessionId = await namedSession(c.env, account, "query", body.accountId, "accountId");
  const { ended, headers } = await runToEnd(c, sessionId, body.query, "query");
  if (ended.outcome === "succeeded") return c.json({ success: true, response: ended.result }, 200, headers);
  const error = ended.error?.message ?? `The run was ${ended.outcome}.`;
  return Response.json(
    { success: false, error },
    { status: runErrorStatus(ended.error?.type ?? ended.outcome), headers },
  );
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
    sandbox: { level: c.env.SANDBOX_LEVEL ?? "none", ...runner },
    environment: Object.fromEntries(texts.map(([name]) => [name, "[set]"])),
  });
}

/** A run that has ended, and where it is. */
interface Told {
  readonly ended: RunEnded;
  readonly headers: Record<string, string>;
}

async function runToEnd(
  c: Context<App>,
  sessionId: string,
  prompt: string,
  trigger: string,
  model?: string,
): Promise<Told> {
  const options = completeOptions(c.env, { maxTurns: SOCKET_MAX_TURNS, ...(model === undefined ? {} : { model }) });
  const { stub, after, runId } = await submit(c, sessionId, {
    prompt: [{ type: "text", text: prompt }],
    options,
    trigger,
  });
  const events = await stub.stream(c.get("principal").account, after, runId);
  if (!events) throw unknownSession(sessionId);
  for await (const line of toLines(events)) {
    const event = line === "" ? null : (JSON.parse(line) as StoredEvent);
    if (event?.type === "run.ended" && event.run_id === runId)
      return { ended: event, headers: { "x-session-id": sessionId, "x-run-id": runId, "cache-control": "no-store" } };
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
