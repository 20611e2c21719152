import { EventListQuery, SendEvents } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { PREVIEW_TYPES } from "@gantry/protocol/event.ts";
import type { Context } from "hono";
import type { z } from "zod";
import { JSON_TYPE, NDJSON_TYPE, SSE_TYPE, chooseType, preferredWait } from "./accept.ts";
import { readJson } from "./body.ts";
import type { App } from "./context.ts";
import { createdOf, readQuery } from "./query.ts";
import { AGENT_MAX_TURNS, completeOptions } from "./run-options.ts";
import { answerWithRun } from "./runs.ts";
import { sessionStub, submit, unknownSession } from "./sessions.ts";
import type { Accepted } from "./sessions.ts";
import { follow } from "./streams.ts";
import { viewOf } from "./threads.ts";

type Sent = z.infer<typeof SendEvents>["events"][number];

/**
 * Prompts, interrupts and answers into a session, in order. Each is stored before this answers: with what was sent, or,
 * for clients that accept a stream, with the log until the run they belong to has ended. `Prefer: wait=N` waits for that
 * end and adds the run.
 */
export async function sendEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const type = chooseType(c.req.header("accept"), [JSON_TYPE, NDJSON_TYPE, SSE_TYPE]);
  const { events } = await readJson(c.req.raw, SendEvents);
  const stub = sessionStub(c.env, sessionId);
  // Asked first: what is sent may end the run in progress at once.
  const [before, current] = await Promise.all([stub.last(account), stub.current(account)]);
  if (before === null) throw unknownSession(sessionId);
  const data: unknown[] = [];
  const accepted: Accepted[] = [];
  for (const [index, event] of events.entries()) data.push(await send(c, sessionId, event, index, accepted));
  const waitSeconds = preferredWait(c.req.header("prefer"));
  if (type === JSON_TYPE && waitSeconds === null) return c.json({ data });
  const runId = accepted.at(-1)?.runId ?? current;
  if (type === JSON_TYPE)
    return runId === null
      ? c.json({ data, run: null })
      : answerWithRun(c, sessionId, runId, waitSeconds ?? 0, { data });
  // Answers and interrupts belong to the run in progress; when there was none, there is nothing to follow.
  if (runId === null) return c.body("", 200, { "content-type": type });
  return follow(c, sessionId, String(accepted[0]?.after ?? before), type, runId, { "x-run-id": runId });
}

async function send(
  c: Context<App>,
  sessionId: string,
  event: Sent,
  index: number,
  accepted: Accepted[],
): Promise<unknown> {
  const { account } = c.get("principal");
  const stub = sessionStub(c.env, sessionId);
  const processed_at = new Date().toISOString();
  switch (event.type) {
    case "user.interrupt":
      return { type: event.type, interrupted: await stub.interrupt(account) };
    case "user.message": {
      const options = completeOptions(c.env, { maxTurns: AGENT_MAX_TURNS });
      const run = await submit(c, sessionId, { prompt: event.content, options, trigger: "api" }, index);
      const { runId, eventId } = run;
      accepted.push(run);
      return { id: eventId, type: event.type, content: event.content, processed_at, run_id: runId };
    }
    case "user.tool_confirmation": {
      const { updated_input: updatedInput, ...confirmation } = event;
      const answer =
        event.result === "allow"
          ? { type: "allow" as const, ...(updatedInput === undefined ? {} : { updatedInput }) }
          : { type: "deny" as const, message: event.deny_message ?? "The user did not allow this." };
      if (!(await stub.answer(account, event.tool_use_id, answer, confirmation)))
        throw nothingWaits(index, "tool_use_id");
      return { ...confirmation, processed_at };
    }
    case "user.custom_tool_result": {
      const { custom_tool_use_id, content = [], is_error } = event;
      const stored = { type: event.type, custom_tool_use_id, content, is_error: is_error === true };
      const answer = { type: "result" as const, content, isError: is_error === true };
      if (!(await stub.answer(account, custom_tool_use_id, answer, stored)))
        throw nothingWaits(index, "custom_tool_use_id");
      return { ...stored, processed_at };
    }
    default:
      return event satisfies never;
  }
}

function nothingWaits(index: number, field: string): RequestRefused {
  return new RequestRefused({
    code: "invalid_request",
    field: `events[${index}].${field}`,
    reason: "no call of that id waits for an answer",
  });
}

/**
 * A page of the log: `?page=CURSOR` or `?after=SEQ`, and the filters of Managed Agents. `next_page` is null at the end.
 * It shows one thread, the primary one unless the path names another. Previews of texts are not history: they are shown
 * only to those who name their types. With `after` it is the log as it is: everything on every thread.
 */
export async function listEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const query = readQuery(c, EventListQuery);
  const limit = Math.min(Math.max(numberOf(query.limit, "limit", 100), 1), 1000);
  const cursor = query.page ?? query.after;
  const view = await viewOf(c);
  const types = query["types[]"] ?? null;
  const whole = query.after !== undefined && c.req.param("thread") === undefined;
  const page = await sessionStub(c.env, sessionId).page(c.get("principal").account, {
    view: whole ? "all" : view,
    cursor: cursor === undefined ? null : numberOf(cursor, query.page === undefined ? "after" : "page", 0),
    limit,
    order: query.order,
    types,
    notTypes: types || query.after !== undefined ? null : PREVIEW_TYPES,
    created: createdOf(query),
  });
  if (!page) throw unknownSession(sessionId);
  const next = page.more ? String(page.last) : null;
  return c.body(`{"data":[${page.lines.join(",")}],"next_page":${JSON.stringify(next)}}`, 200, {
    "content-type": "application/json",
    "cache-control": "no-store",
  });
}

function numberOf(text: string | undefined, field: string, fallback: number): number {
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RequestRefused({ code: "invalid_request", field, reason: "must be a whole number, 0 or more" });
}
