import { PREVIEW_TYPES, PromptBlock } from "@gantry/protocol/event.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { z } from "zod";
import { readJson } from "./body.ts";
import type { App } from "./context.ts";
import { STREAM_HEADERS, toBody, toLines } from "./ndjson.ts";
import { completeOptions } from "./run-options.ts";
import { sessionStub, submit, unknownSession } from "./sessions.ts";

/** Body of `POST /v1/sessions/{id}/events`, as in Managed Agents. */
const SendEvents = z.strictObject({
  events: z
    .array(
      z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("user.message"), content: z.array(PromptBlock).min(1) }),
        z.strictObject({ type: z.literal("user.interrupt") }),
      ]),
    )
    .min(1),
});

/** Prompts into a session, or an interrupt. Each is stored before this answers. */
export async function sendEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const { account } = c.get("principal");
  const { events } = await readJson(c.req.raw, SendEvents);
  const stub = sessionStub(c.env, sessionId);
  if (!(await stub.exists(account))) throw unknownSession(sessionId);
  const data: unknown[] = [];
  for (const event of events) {
    if (event.type === "user.interrupt") {
      data.push({ type: event.type, interrupted: await stub.interrupt(account) });
    } else {
      const { runId } = await submit(c.env, account, sessionId, {
        prompt: event.content,
        options: completeOptions(c.env, {}),
        trigger: "api",
      });
      data.push({ type: event.type, run_id: runId });
    }
  }
  return c.json({ data });
}

/** A page of the log: `?after=SEQ&limit=N`. `next_page` is the cursor of the next one, null at the end. */
export async function listEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const limit = cursorOf(c.req.query("limit"), "limit", 100);
  const page = await sessionStub(c.env, sessionId).page(
    c.get("principal").account,
    cursorOf(c.req.query("after"), "after", 0),
    Math.min(Math.max(limit, 1), 1000),
  );
  if (!page) throw unknownSession(sessionId);
  const next = page.lines.length < limit ? null : String(page.last);
  return c.body(`{"data":[${page.lines.join(",")}],"next_page":${JSON.stringify(next)}}`, 200, {
    "content-type": "application/json",
    "cache-control": "no-store",
  });
}

/** The log as server-sent events from a cursor on (`Last-Event-ID` or `?after=`). Previews only with `?event_deltas=true`. */
export async function streamEvents(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const after = cursorOf(c.req.header("last-event-id") ?? c.req.query("after"), "after", 0);
  const events = await sessionStub(c.env, sessionId).stream(c.get("principal").account, after, null);
  if (!events) throw unknownSession(sessionId);
  const previews = c.req.query("event_deltas") !== undefined;
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
    const { type, seq } = JSON.parse(line) as { type: (typeof PREVIEW_TYPES)[number]; seq: number };
    if (previews || !PREVIEW_TYPES.includes(type)) yield `event: ${type}\nid: ${seq}\ndata: ${line}\n\n`;
  }
}

function cursorOf(text: string | undefined, field: string, fallback: number): number {
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RequestRefused({ code: "invalid_request", field, reason: "must be a whole number, 0 or more" });
}
