import { EventListQuery, SendEvents } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { PREVIEW_TYPES } from "@gantry/protocol/event.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { primaryThreadId } from "@gantry/protocol/ids.ts";
import type { Context } from "hono";
import type { z } from "zod";
import { readJson } from "./body.ts";
import type { App } from "./context.ts";
import { STREAM_HEADERS, toBody, toLines } from "./ndjson.ts";
import { createdOf, readQuery } from "./query.ts";
import { AGENT_MAX_TURNS, completeOptions } from "./run-options.ts";
import { sessionStub, submit, unknownSession } from "./sessions.ts";
import { unknownThread } from "./threads.ts";

type Sent = z.infer<typeof SendEvents>["events"][number];

/** Prompts, interrupts and answers into a session, in order. Each is stored before this answers. */
export async function sendEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const { events } = await readJson(c.req.raw, SendEvents);
  const stub = sessionStub(c.env, sessionId);
  if (!(await stub.exists(account))) throw unknownSession(sessionId);
  const data: unknown[] = [];
  for (const [index, event] of events.entries()) data.push(await send(c, sessionId, event, index));
  return c.json({ data });
}

async function send(c: Context<App>, sessionId: string, event: Sent, index: number): Promise<unknown> {
  const { account } = c.get("principal");
  const stub = sessionStub(c.env, sessionId);
  const processed_at = new Date().toISOString();
  switch (event.type) {
    case "user.interrupt":
      return { type: event.type, interrupted: await stub.interrupt(account) };
    case "user.message": {
      const options = completeOptions(c.env, { maxTurns: AGENT_MAX_TURNS });
      const { runId, eventId } = await submit(c, sessionId, { prompt: event.content, options, trigger: "api" }, index);
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

/** The thread that the path names, as the log knows it. */
async function viewOf(c: Context<App>): Promise<{ thread: string | null }> {
  const thread = c.req.param("thread");
  const id = c.req.param("id") ?? "";
  if (thread === undefined || thread === primaryThreadId(id)) return { thread: null };
  if (!(await sessionStub(c.env, id).thread(c.get("principal").account, thread))) throw unknownThread(thread);
  return { thread };
}

/**
 * One thread's log as server-sent events: from a cursor on (`Last-Event-ID` or `?after=`), else what happens from now
 * on, as in Managed Agents. Previews with `?event_deltas[]=agent.message`.
 */
export async function streamEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const stub = sessionStub(c.env, sessionId);
  const cursor = c.req.header("last-event-id") ?? c.req.query("after");
  const view = await viewOf(c);
  const after = cursor === undefined ? await stub.last(account) : numberOf(cursor, "after", 0);
  const events = after === null ? null : await stub.stream(account, after, null, view);
  if (!events) throw unknownSession(sessionId);
  const previews = c.req.query("event_deltas") !== undefined || c.req.query("event_deltas[]") !== undefined;
  return new Response(toBody(toSse(events, previews)), {
    headers: { ...STREAM_HEADERS, "content-type": "text/event-stream; charset=utf-8" },
  });
}

async function* toSse(events: ReadableStream<Uint8Array>, previews: boolean): AsyncGenerator<string> {
  for await (const line of toLines(events)) {
    if (line === "") {
      yield ": \n\n"; // heartbeat
      continue;
    }
    const { type, seq } = JSON.parse(line) as StoredEvent;
    if (previews || !PREVIEW_TYPES.includes(type)) yield `event: ${type}\nid: ${seq}\ndata: ${line}\n\n`;
  }
}

function numberOf(text: string | undefined, field: string, fallback: number): number {
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RequestRefused({ code: "invalid_request", field, reason: "must be a whole number, 0 or more" });
}
