import { RunListQuery } from "@gantry/protocol/api/lists.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { toIso } from "../storage/catalog.ts";
import type { App } from "./context.ts";
import { readQuery } from "./query.ts";
import { sessionStub, unknownSession } from "./sessions.ts";

/** `GET /v1/sessions/{id}/runs`: every prompt of a session, oldest first, with its place in the queue while it waits. */
export async function listRuns(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { page, limit } = readQuery(c, RunListQuery);
  const runs = await sessionStub(c.env, sessionId).runs(c.get("principal").account, page, limit);
  if (!runs) throw unknownSession(sessionId);
  const data = runs.map(({ createdAt, startedAt, endedAt, place: _place, ...run }) => ({
    type: "run",
    ...run,
    created_at: toIso(createdAt),
    started_at: toIso(startedAt),
    ended_at: toIso(endedAt),
  }));
  return c.json({ data, next_page: runs.length === limit ? String(runs.at(-1)?.place) : null });
}

/** `POST /v1/sessions/{id}/runs/{run}/cancel`: out of the queue, or stopped; its one `run.ended` is in the log. */
export async function cancelRun(c: Context<App>): Promise<Response> {
  const [sessionId, runId] = [c.req.param("id") ?? "", c.req.param("run") ?? ""];
  const cancelled = await sessionStub(c.env, sessionId).cancel(c.get("principal").account, runId);
  if (cancelled === null) throw unknownSession(sessionId);
  if (!cancelled)
    throw new RequestRefused({ code: "not_found", what: `A queued or running run ${JSON.stringify(runId)}` });
  return c.json({ type: "run", id: runId, cancelled: true });
}
