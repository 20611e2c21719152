import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import type { StreamShape } from "../../session/log/stream.ts";
import { toSocketRequest } from "../../session/sockets/sockets.ts";
import { JSON_TYPE, NDJSON_TYPE, SSE_TYPE, chooseType, preferredWait } from "../request/accept.ts";
import type { App } from "../request/context.ts";
import { STREAM_HEADERS } from "../../base/ndjson.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";
import { viewOf } from "./threads.ts";
import { isWorker } from "../request/work-token.ts";

/** A session's log as it grows: as server-sent events, as NDJSON, over a WebSocket, or as a page that may be waited for. */

const FORMATS = { [SSE_TYPE]: "sse", [NDJSON_TYPE]: "ndjson" } as const;

/**
 * `GET /v1/sessions/{id}/events/stream`, and of a thread: from a cursor on (`Last-Event-ID` or `?after=`, a `seq` or an event's id), else
 * what happens from now on, as in Managed Agents. Previews with `?event_deltas[]=agent.message`.
 *
 * Anthropic's client accepts JSON in every request but expects server-sent events here. So only a client that also sends
 * `Prefer: wait=N` gets JSON: a page of the events after the cursor, as soon as there are any.
 */
export async function streamEvents(c: Context<App>): Promise<Response> {
  const type = chooseType(c.req.header("accept"), [SSE_TYPE, NDJSON_TYPE, JSON_TYPE]);
  const waitSeconds = preferredWait(c.req.header("prefer"));
  if (type === JSON_TYPE && waitSeconds !== null) return nextPage(c, waitSeconds);
  return follow(c, c.req.param("id") ?? "", cursorOf(c), type === JSON_TYPE ? SSE_TYPE : type, null);
}

/** The log as a stream, starting after a cursor. It ends when the run `untilRun` ends; null: never. */
export async function follow(
  c: Context<App>,
  sessionId: string,
  cursor: string | null,
  type: keyof typeof FORMATS,
  untilRun: string | null,
  headers: Record<string, string> = {},
): Promise<Response> {
  const { account, keyId } = c.get("principal");
  const shape: StreamShape = {
    format: FORMATS[type],
    view: await viewOf(c),
    previews: wantsPreviews(c),
    untilRun,
    upkeep: !isWorker(c),
    keyId,
  };
  const stream = await toSessionStub(c.env, sessionId).follow(account, cursor, shape);
  if (stream === "unknown_session") throw unknownSession(sessionId);
  if (stream === "unknown_event") throw unknownCursor();
  return new Response(stream, { headers: { ...STREAM_HEADERS, ...headers, "content-type": `${type}; charset=utf-8` } });
}

/**
 * `GET /v1/sessions/{id}/events/ws`: the same lines over a WebSocket, one frame per commit. An idle socket costs nothing,
 * because its session may hibernate.
 */
export async function eventSocket(c: Context<App>): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket")
    throw new RequestRefused({ code: "invalid_request", field: "upgrade", reason: "this endpoint is a WebSocket" });
  const { account, keyId, endsAt: keyEndsAt = null } = c.get("principal");
  const confirms = c.req.query("ack") === "true";
  const key = { account, keyId, keyEndsAt };
  const opening = { ...key, view: "events" as const, previews: wantsPreviews(c), confirms, cursor: cursorOf(c) };
  const response = await toSessionStub(c.env, sessionId).fetch(toSocketRequest(c.req.raw, opening));
  if (response.status !== 404) return response;
  throw (await response.text()) === "event" ? unknownCursor() : unknownSession(sessionId);
}

async function nextPage(c: Context<App>, waitSeconds: number): Promise<Response> {
  const sessionId = c.req.param("id") ?? "";
  const page = await toSessionStub(c.env, sessionId).nextPage(
    c.get("principal").account,
    cursorOf(c),
    { view: await viewOf(c), previews: wantsPreviews(c) },
    waitSeconds * 1000,
  );
  if (page === "unknown_session") throw unknownSession(sessionId);
  if (page === "unknown_event") throw unknownCursor();
  return c.body(`{"data":[${page.lines.join(",")}],"next_page":"${page.last}"}`, 200, {
    "content-type": JSON_TYPE,
    "cache-control": "no-store",
    "preference-applied": `wait=${waitSeconds}`,
  });
}

/** The reader's cursor: from `Last-Event-ID`, which browsers send when they reconnect, or from the query. */
function cursorOf(c: Context<App>): string | null {
  return c.req.header("last-event-id") || c.req.query("after") || null;
}

function wantsPreviews(c: Context<App>): boolean {
  return c.req.query("event_deltas") !== undefined || c.req.query("event_deltas[]") !== undefined;
}

function unknownCursor(): RequestRefused {
  return new RequestRefused({
    code: "invalid_request",
    field: "after",
    reason: "must be the seq (0 or more) or the id of an event of this session",
  });
}
