import { EventListQuery, SendEvents } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { newId } from "@gantry/protocol/ids.ts";
import { PREVIEW_TYPES, UPKEEP_TYPES } from "@gantry/protocol/event.ts";
import type { Context } from "hono";
import type { z } from "zod";
import type { Submission } from "../../session/store/facts.ts";
import { JSON_TYPE, NDJSON_TYPE, SSE_TYPE, chooseType, preferredWait } from "../request/accept.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { toAnswer } from "./confirmation.ts";
import { checkPrompt } from "../../session/call/check-prompt.ts";
import { actorOf, createdOf, readQuery } from "../request/query.ts";
import { AGENT_MAX_TURNS } from "../../session/store/run-options.ts";
import { answerWithRun } from "./runs.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";
import type { Accepted } from "../../session/call/submit.ts";
import { submit } from "../../session/call/submit.ts";
import { repeatOf } from "../request/idempotency.ts";
import { follow } from "./streams.ts";
import { viewOf } from "./threads.ts";
import { isWorker } from "../request/work-token.ts";

type Sent = z.infer<typeof SendEvents>["events"][number];

/**
 * `POST /v1/sessions/{id}/events`: sends prompts, interrupts and answers to a session, in order. All are stored before the
 * response, which repeats them. A client that accepts a stream gets the log until their run has ended. `Prefer: wait=N`
 * waits for that end and adds the run to the response.
 */
export async function sendEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const type = chooseType(c.req.header("accept"), [JSON_TYPE, NDJSON_TYPE, SSE_TYPE]);
  const { events } = await readJson(c.req.raw, SendEvents);
  const stub = toSessionStub(c.env, sessionId);
  await checkEvents(c, events);
  // Read before sending, because an event may end the run in progress at once.
  const [before, current] = await Promise.all([stub.last(account), stub.current(account)]);
  if (before === null) throw unknownSession(sessionId);
  const data: unknown[] = [];
  const accepted: Accepted[] = [];
  for (const [index, event] of events.entries()) {
    const next = events[index + 1];
    const system = next?.type === "system.message" ? { eventId: newId("event"), content: next.content } : undefined;
    if (event.type !== "system.message") data.push(await send(c, sessionId, event, index, accepted, system));
    if (system)
      data.push({
        id: system.eventId,
        type: "system.message",
        content: system.content,
        processed_at: new Date().toISOString(),
      });
  }
  const waitSeconds = preferredWait(c.req.header("prefer"));
  if (type === JSON_TYPE && waitSeconds === null) return c.json({ data });
  const runId = accepted.at(-1)?.runId ?? current;
  if (type === JSON_TYPE)
    return runId === null
      ? c.json({ data, run: null })
      : answerWithRun(c, sessionId, runId, waitSeconds ?? 0, { data });
  // Answers and interrupts belong to the run in progress. Without one there is nothing to follow.
  if (runId === null) return c.body("", 200, { "content-type": type });
  return follow(c, sessionId, String(accepted[0]?.after ?? before), type, runId, { "x-run-id": runId });
}

async function send(
  c: Context<App>,
  sessionId: string,
  event: Exclude<Sent, { type: "system.message" }>,
  index: number,
  accepted: Accepted[],
  system: Submission["system"],
): Promise<unknown> {
  const { account } = c.get("principal");
  const stub = toSessionStub(c.env, sessionId);
  const processed_at = new Date().toISOString();
  switch (event.type) {
    case "user.interrupt":
      return { type: event.type, interrupted: await stub.interrupt(account, actorOf(c)) };
    case "user.message": {
      const raw = event.include_raw ? { includeRaw: true } : {};
      const options = { maxTurns: AGENT_MAX_TURNS, ...raw };
      const prompt = { prompt: event.content, isChecked: true, options, trigger: "api", ...(system ? { system } : {}) };
      const run = await submit(c.env, actorOf(c), sessionId, prompt, await repeatOf(c, index));
      const { runId, eventId } = run;
      accepted.push(run);
      return { id: eventId, type: event.type, content: event.content, processed_at, run_id: runId };
    }
    case "user.tool_confirmation": {
      const waiting = (await stub.waiting(account)) ?? [];
      const call = waiting.find((each) => each.toolUseId === event.tool_use_id);
      if (call?.kind === "worker_ask") return confirmForWorker(c, sessionId, event, call, index);
      if (!call || call.kind === "client" || call.kind === "worker") throw nothingWaits(index, "tool_use_id");
      const { answer, event: told } = toAnswer(event, call, `events[${index}]`);
      if (!(await stub.answer(account, event.tool_use_id, answer, told, actorOf(c))))
        throw nothingWaits(index, "tool_use_id");
      return { ...told, processed_at };
    }
    case "user.tool_result": {
      const { tool_use_id, content = [], is_error } = event;
      const waiting = (await stub.waiting(account)) ?? [];
      const call = waiting.find((each) => each.toolUseId === tool_use_id);
      if (call?.kind === "worker_ask")
        throw new RequestRefused({ code: "conflict", reason: "This call has not been allowed yet." });
      const stored = { type: event.type, tool_use_id, content, is_error: is_error === true };
      const answer = { type: "result" as const, content, isError: is_error === true };
      if (call?.kind !== "worker" || !(await stub.answer(account, tool_use_id, answer, stored, actorOf(c))))
        throw nothingWaits(index, "tool_use_id");
      return { ...stored, processed_at };
    }
    case "user.custom_tool_result": {
      const { custom_tool_use_id, content = [], is_error } = event;
      const stored = { type: event.type, custom_tool_use_id, content, is_error: is_error === true };
      const answer = { type: "result" as const, content, isError: is_error === true };
      if (!(await stub.answer(account, custom_tool_use_id, answer, stored, actorOf(c))))
        throw nothingWaits(index, "custom_tool_use_id");
      return { ...stored, processed_at };
    }
    default:
      return event satisfies never;
  }
}

/** Confirms a call that a worker carries out. An allowed call goes to the worker; the denial of a call becomes its result. */
async function confirmForWorker(
  c: Context<App>,
  sessionId: string,
  event: Extract<Sent, { type: "user.tool_confirmation" }>,
  call: Parameters<typeof toAnswer>[1],
  index: number,
): Promise<unknown> {
  const { account } = c.get("principal");
  const stub = toSessionStub(c.env, sessionId);
  const { answer, event: told } = toAnswer(event, call, `events[${index}]`);
  if (answer.type === "allow" && answer.updatedInput !== undefined)
    throw new RequestRefused({
      code: "invalid_request",
      field: `events[${index}].updated_input`,
      reason: "cannot be used in a self-hosted environment: its worker has already read the input",
    });
  const denied = answer.type === "deny" ? [{ type: "text" as const, text: answer.message }] : null;
  const taken = denied
    ? await stub.answer(account, call.toolUseId, { type: "result", content: denied, isError: true }, told, actorOf(c))
    : await stub.allow(account, call.toolUseId, told, actorOf(c));
  if (!taken) throw nothingWaits(index, "tool_use_id");
  return { ...told, processed_at: new Date().toISOString() };
}

/** Checks everything that can be checked before the first event is sent. */
async function checkEvents(c: Context<App>, events: readonly Sent[]): Promise<void> {
  for (const [index, event] of events.entries()) {
    if (isWorker(c) && event.type !== "user.tool_result" && event.type !== "user.custom_tool_result")
      throw new RequestRefused({
        code: "invalid_request",
        field: `events[${index}].type`,
        reason: "a worker may send only tool results",
      });
    if (event.type === "user.message")
      await checkPrompt(c.env, c.get("principal").account, event.content, `events[${index}].content`);
    if (event.type !== "system.message") continue;
    const reason =
      events[index - 1]?.type !== "user.message"
        ? "must follow the user.message it belongs to"
        : index !== events.length - 1
          ? "must be the last event"
          : null;
    if (reason !== null) throw new RequestRefused({ code: "invalid_request", field: `events[${index}]`, reason });
  }
}

function nothingWaits(index: number, field: string): RequestRefused {
  return new RequestRefused({
    code: "invalid_request",
    field: `events[${index}].${field}`,
    reason: "no call with this id is waiting for an answer",
  });
}

/**
 * `GET .../events`: a page of the log, from `?page=CURSOR` or `?after=SEQ`, with the filters of Managed Agents.
 * `next_page` is null at the end. The page shows one thread, the primary one unless the path names another. It leaves out
 * previews of texts, unless the client names their types. With `after` it shows every event of every thread.
 */
export async function listEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const query = readQuery(c, EventListQuery);
  const limit = Math.min(Math.max(numberOf(query.limit, "limit", 100), 1), 1000);
  const cursor = query.page ?? query.after;
  const view = await viewOf(c);
  const types = query["types[]"] ?? null;
  const whole = query.after !== undefined && c.req.param("thread") === undefined;
  const page = await toSessionStub(c.env, sessionId).page(c.get("principal").account, {
    view: whole ? "all" : view,
    cursor: cursor === undefined ? null : numberOf(cursor, query.page === undefined ? "after" : "page", 0),
    limit,
    order: query.order,
    types,
    notTypes:
      types || query.after !== undefined ? null : isWorker(c) ? [...PREVIEW_TYPES, ...UPKEEP_TYPES] : PREVIEW_TYPES,
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
