import { ClaudeCodeRequest } from "@gantry/protocol/api/doors.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { JSON_TYPE, NDJSON_TYPE, SSE_TYPE, TEXT_TYPE, chooseType, preferredWait } from "../request/accept.ts";
import { parseAdditionalArgs } from "./additional-args.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { repeatOf, tellingRequestId } from "../request/idempotency.ts";
import { toOptionalTarget } from "../../session/call/named-session.ts";
import { STREAM_HEADERS, toLines } from "../../base/ndjson.ts";
import { findRun, laterAt } from "../v1/runs.ts";
import { StoryLines, runErrorStatus } from "@gantry/protocol/story-lines.ts";
import type { StoryLine } from "@gantry/protocol/story-lines.ts";
import type { RunStory } from "../../session/log/run-story.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";
import type { Accepted } from "../../session/call/submit.ts";
import { submit } from "../../session/call/submit.ts";
import { actorOf } from "../request/query.ts";

/**
 * `POST /claude-code`: runs one prompt. The answer is the run's story, one JSON object per line while it happens, or a
 * single object at the end. The run belongs to its session, so it goes on when the client disconnects.
 */
export async function claudeCode(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, ClaudeCodeRequest);
  const type = typeOf(c, body.stream);
  const { verbose: verboseArg, ...fromArgs } = parseAdditionalArgs(body.additionalArgs);
  const options = {
    ...fromArgs,
    ...(body.model === undefined ? {} : { model: body.model }),
    ...(body.maxTurns === undefined ? {} : { maxTurns: body.maxTurns }),
    ...(body.permissionMode === undefined ? {} : { permissionMode: body.permissionMode }),
    ...(body.includeRaw ? { includeRaw: true } : {}),
  };
  const prompt = { prompt: [{ type: "text" as const, text: body.prompt }], options, trigger: "claude-code" };
  const accepted = await submit(c.env, actorOf(c), toOptionalTarget(body.sessionId), prompt, await repeatOf(c));
  const verbose = body.verbose || verboseArg === true;
  return tell(c, { ...accepted, from: 0, verbose, type });
}

/**
 * `GET /claude-code/{sessionId}/{runId}`: the story of a run again, for a client that was cut off. It continues after the
 * `seq` in `Last-Event-ID` or `?after=`, that of the last line the client has. `?verbose=true` works as in the request.
 */
export async function claudeCodeRun(c: Context<App>): Promise<Response> {
  const [sessionId, runId] = [c.req.param("sessionId") ?? "", c.req.param("runId") ?? ""];
  const type = typeOf(c, undefined);
  const { promptSeq } = await findRun(c, sessionId, runId, 0);
  const cursor = c.req.header("last-event-id") || c.req.query("after") || "0";
  if (!/^\d{1,15}$/.test(cursor))
    throw new RequestRefused({
      code: "invalid_request",
      field: "after",
      reason: "must be the seq of a line, 0 or more",
    });
  const story = { sessionId, runId, after: promptSeq - 2, stub: toSessionStub(c.env, sessionId) };
  return tell(c, { ...story, from: Number(cursor), verbose: c.req.query("verbose") === "true", type });
}

/** A run to tell. `from` is the `seq` of the last event that the client has. */
interface Telling extends Omit<Accepted, "eventId"> {
  readonly from: number;
  readonly verbose: boolean;
  readonly type: StoryType;
}

type StoryType = ReturnType<typeof typeOf>;

/** The content type of the answer. `stream` in the body takes precedence over the `Accept` header. */
function typeOf(c: Context<App>, stream: boolean | undefined) {
  if (stream === false) return JSON_TYPE;
  const accept = c.req.header("accept");
  return stream === true
    ? chooseType(accept, [TEXT_TYPE, NDJSON_TYPE, SSE_TYPE])
    : chooseType(accept, [TEXT_TYPE, NDJSON_TYPE, SSE_TYPE, JSON_TYPE]);
}

/** Seconds to wait for the end of a run when the client names no limit. Common clients time out after five minutes. */
const WAIT_SECONDS = 280;

async function tell(c: Context<App>, run: Telling): Promise<Response> {
  const { sessionId, runId, type } = run;
  const headers = { "x-session-id": sessionId, "x-run-id": runId, "cache-control": "no-store" };
  if (type === JSON_TYPE) return answerOnce(c, run, headers);
  const story = await storyOf(c, run, type === SSE_TYPE ? "sse" : "ndjson");
  return new Response(story, {
    headers: { ...headers, ...STREAM_HEADERS, "content-type": `${type}; charset=utf-8` },
  });
}

/** The run's lines, written by its session. */
async function storyOf(
  c: Context<App>,
  { stub, sessionId, runId, after, from, verbose }: Telling,
  format: RunStory["format"],
): Promise<ReadableStream<Uint8Array>> {
  const { account, keyId } = c.get("principal");
  const story = { runId, from, verbose, format, requestId: tellingRequestId(c), keyId };
  const lines = await stub.tell(account, after, story);
  if (!lines) throw unknownSession(sessionId);
  return lines;
}

/** One object when the run has ended; 202 with the run's address when it takes too long. */
async function answerOnce(c: Context<App>, run: Telling, headers: Record<string, string>): Promise<Response> {
  const { sessionId, runId, verbose } = run;
  const waitSeconds = preferredWait(c.req.header("prefer")) ?? WAIT_SECONDS;
  const { ended, state } = await findRun(c, sessionId, runId, waitSeconds * 1000);
  if (!ended) {
    const body = { type: "status", status: state, sessionId, runId, requestId: c.get("requestId") };
    return Response.json(body, { status: 202, headers: { ...headers, ...laterAt(sessionId, runId) } });
  }
  const [last] = new StoryLines({ sessionId, runId, requestId: tellingRequestId(c), verbose }).of(ended);
  const messages = verbose ? await storyUntilEnd(c, run) : null;
  const answer = { ...last, ...(messages ? { messages } : {}) };
  return Response.json(answer, { status: last?.type === "error" ? runErrorStatus(last["error"]) : 200, headers });
}

/** All lines of a run that has ended, except the last. */
async function storyUntilEnd(c: Context<App>, run: Telling): Promise<StoryLine[]> {
  const messages: StoryLine[] = [];
  for await (const text of toLines(await storyOf(c, run, "ndjson"))) {
    if (text === "") continue; // heartbeat
    const { seq: _seq, ...line } = JSON.parse(text) as StoryLine & { seq: number };
    messages.push(line as StoryLine);
  }
  return messages.slice(0, -1);
}
