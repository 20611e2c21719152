import { RunListQuery } from "@gantry/protocol/api/lists.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import type { RunFacts } from "../../session/log/reading.ts";
import type { ListedRun } from "../../session/store/run-queue.ts";
import { toIso } from "../../storage/catalog.ts";
import { preferredWait } from "../request/accept.ts";
import type { App } from "../request/context.ts";
import { actorOf, readQuery } from "../request/query.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";

/** `GET /v1/sessions/{id}/runs`: every run of a session, oldest first; a queued run has its position in the queue. */
export async function listRuns(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { page, limit } = readQuery(c, RunListQuery);
  const runs = await toSessionStub(c.env, sessionId).runs(c.get("principal").account, page, limit);
  if (!runs) throw unknownSession(sessionId);
  const data = runs.map((run) => toRun(run, sessionId));
  return c.json({ data, next_page: runs.length === limit ? String(runs.at(-1)?.order) : null });
}

/** `GET /v1/sessions/{id}/runs/{run}`: a run and its outcome. `Prefer: wait=N` waits for its end; 202 if it does not come. */
export async function retrieveRun(c: Context<App>): Promise<Response> {
  const waitSeconds = preferredWait(c.req.header("prefer"));
  const [sessionId, runId] = [c.req.param("id") ?? "", c.req.param("run") ?? ""];
  if (waitSeconds !== null) return answerWithRun(c, sessionId, runId, waitSeconds, null);
  return c.json(toRunFacts(await findRun(c, sessionId, runId, 0), sessionId));
}

/** Answers with a run when it has ended, together with the fields `beside`; after the wait with 202 and `Location`. */
export async function answerWithRun(
  c: Context<App>,
  sessionId: string,
  runId: string,
  waitSeconds: number,
  beside: Record<string, unknown> | null,
): Promise<Response> {
  const facts = await findRun(c, sessionId, runId, waitSeconds * 1000);
  const run = toRunFacts(facts, sessionId);
  const headers = { "cache-control": "no-store", "preference-applied": `wait=${waitSeconds}` };
  const body = beside ? { ...beside, run } : run;
  return facts.ended ? c.json(body, 200, headers) : c.json(body, 202, { ...headers, ...laterAt(sessionId, runId) });
}

/** Headers with the address of a run that is still in progress. */
export function laterAt(sessionId: string, runId: string): Record<string, string> {
  return { location: `/v1/sessions/${sessionId}/runs/${runId}`, "retry-after": "5" };
}

/** A run, as soon as it has ended or `waitMs` milliseconds have passed. Throws 404 for an unknown run. */
export async function findRun(c: Context<App>, sessionId: string, runId: string, waitMs: number): Promise<RunFacts> {
  const { account } = c.get("principal");
  const stub = toSessionStub(c.env, sessionId);
  const facts = await stub.run(account, runId, waitMs);
  if (facts) return facts;
  if (!(await stub.exists(account))) throw unknownSession(sessionId);
  throw new RequestRefused({ code: "not_found", what: `Run ${JSON.stringify(runId)}` });
}

function toRun(run: RunFacts | ListedRun, sessionId: string) {
  return {
    type: "run",
    id: run.id,
    session_id: sessionId,
    state: run.state,
    trigger: run.trigger,
    model: run.model,
    position: run.position,
    created_at: toIso(run.createdAt),
    started_at: toIso(run.startedAt),
    ended_at: toIso(run.endedAt),
  };
}

function toRunFacts(run: RunFacts, sessionId: string) {
  const { ended, usage } = run;
  return {
    ...toRun(run, sessionId),
    outcome: ended?.outcome ?? null,
    result: ended?.result ?? null,
    error: ended?.error ?? null,
    usage,
    num_turns: ended?.num_turns ?? null,
    duration_ms: ended?.duration_ms ?? null,
  };
}

/** `POST /v1/sessions/{id}/runs/{run}/cancel`: removes a run from the queue or stops it. It ends with one `run.ended`. */
export async function cancelRun(c: Context<App>): Promise<Response> {
  const [sessionId, runId] = [c.req.param("id") ?? "", c.req.param("run") ?? ""];
  const cancelled = await toSessionStub(c.env, sessionId).cancel(c.get("principal").account, runId, actorOf(c));
  if (cancelled === null) throw unknownSession(sessionId);
  if (!cancelled)
    throw new RequestRefused({ code: "not_found", what: `A queued or running run ${JSON.stringify(runId)}` });
  return c.json({ type: "run", id: runId, cancelled: true });
}
