import { ClaudeCodeRequest } from "@gantry/protocol/api/doors.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import type { Context } from "hono";
import { JSON_TYPE, NDJSON_TYPE, SSE_TYPE, TEXT_TYPE, chooseType, preferredWait } from "./accept.ts";
import { parseAdditionalArgs } from "./additional-args.ts";
import { readJson } from "./body.ts";
import type { App } from "./context.ts";
import { tellingRequestId } from "./idempotency.ts";
import { continuedSession } from "./named-session.ts";
import { STREAM_HEADERS, toBody, toLines } from "./ndjson.ts";
import { completeOptions } from "./run-options.ts";
import { findRun, laterAt } from "./runs.ts";
import { SeedLines, runErrorStatus } from "@gantry/protocol/seed-lines.ts";
import type { SeedLine } from "@gantry/protocol/seed-lines.ts";
import { sessionStub, submit, unknownSession } from "./sessions.ts";
import type { Accepted } from "./sessions.ts";

/**
 * The seeds' door: one prompt in, and the run's story out, as one JSON object a line while it happens, or as one
 * object at the end. A client that goes away stops nothing: the run belongs to its session.
 */
export async function claudeCode(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, ClaudeCodeRequest);
  const type = typeOf(c, body.stream);
  const { verbose: verboseArg, ...fromArgs } = parseAdditionalArgs(body.additionalArgs);
  const options = completeOptions(c.env, {
    ...fromArgs,
    ...(body.model === undefined ? {} : { model: body.model }),
    ...(body.maxTurns === undefined ? {} : { maxTurns: body.maxTurns }),
    ...(body.permissionMode === undefined ? {} : { permissionMode: body.permissionMode }),
    ...(body.includeRaw ? { includeRaw: true } : {}),
  });
  const accepted = await submit(c, await continuedSession(c, body.sessionId), {
    prompt: [{ type: "text", text: body.prompt }],
    options,
    trigger: "claude-code",
  });
  const verbose = body.verbose || verboseArg === true;
  return tell(c, { ...accepted, from: 0, verbose, type });
}

/**
 * `GET /claude-code/{sessionId}/{runId}`: the same story again, for a client that was cut off: from `Last-Event-ID` or
 * `?after=`, the `seq` of the last line it has, on. `?verbose=true` as in the request.
 */
export async function claudeCodeRun(c: Context<App>): Promise<Response> {
  const [sessionId, runId] = [c.req.param("sessionId") ?? "", c.req.param("runId") ?? ""];
  const type = typeOf(c, undefined);
  const { promptSeq } = await findRun(c, sessionId, runId, 0);
  const cursor = c.req.header("last-event-id") || c.req.query("after") || "0";
  if (!/^\d{1,15}$/.test(cursor))
    throw new RequestRefused({ code: "invalid_request", field: "after", reason: "must be the seq of a line" });
  const story = { sessionId, runId, after: promptSeq - 2, stub: sessionStub(c.env, sessionId) };
  return tell(c, { ...story, from: Number(cursor), verbose: c.req.query("verbose") === "true", type });
}

/** A run to tell of: `from` is the `seq` of the last event that the client has heard of. */
interface Telling extends Omit<Accepted, "eventId"> {
  readonly from: number;
  readonly verbose: boolean;
  readonly type: StoryType;
}

type StoryType = ReturnType<typeof typeOf>;

/** The form to tell it in: `stream` in the body goes before the `Accept` header. */
function typeOf(c: Context<App>, stream: boolean | undefined) {
  if (stream === false) return JSON_TYPE;
  const accept = c.req.header("accept");
  return stream === true
    ? chooseType(accept, [TEXT_TYPE, NDJSON_TYPE, SSE_TYPE])
    : chooseType(accept, [TEXT_TYPE, NDJSON_TYPE, SSE_TYPE, JSON_TYPE]);
}

/** How long a client that wants one object waits when it does not say: common clients give up after five minutes. */
const WAIT_SECONDS = 280;

async function tell(c: Context<App>, run: Telling): Promise<Response> {
  const { sessionId, runId, type } = run;
  const lines = new SeedLines({ sessionId, runId, requestId: tellingRequestId(c), verbose: run.verbose });
  const headers = { "x-session-id": sessionId, "x-run-id": runId, "cache-control": "no-store" };
  if (type === JSON_TYPE) return answerOnce(c, run, lines, headers);
  const events = await run.stub.stream(c.get("principal").account, run.after, runId);
  if (!events) throw unknownSession(sessionId);
  return new Response(toBody(story(events, run, lines, type === SSE_TYPE ? toSse : toLine)), {
    headers: { ...headers, ...STREAM_HEADERS, "content-type": `${type}; charset=utf-8` },
  });
}

/** One object when the run has ended; 202 and the run's address when that takes too long. */
async function answerOnce(
  c: Context<App>,
  run: Telling,
  lines: SeedLines,
  headers: Record<string, string>,
): Promise<Response> {
  const { sessionId, runId } = run;
  const waitSeconds = preferredWait(c.req.header("prefer")) ?? WAIT_SECONDS;
  const { ended, state } = await findRun(c, sessionId, runId, waitSeconds * 1000);
  if (!ended) {
    const body = { type: "status", status: state, sessionId, runId, requestId: c.get("requestId") };
    return Response.json(body, { status: 202, headers: { ...headers, ...laterAt(sessionId, runId) } });
  }
  const [last] = lines.of(ended);
  const messages = run.verbose ? await storyUntilEnd(c, run, lines) : null;
  const answer = { ...last, ...(messages ? { messages } : {}) };
  return Response.json(answer, { status: last?.type === "error" ? runErrorStatus(last["error"]) : 200, headers });
}

/** All lines of a run that has ended, but the last. */
async function storyUntilEnd(c: Context<App>, run: Telling, lines: SeedLines): Promise<SeedLine[]> {
  const events = await run.stub.stream(c.get("principal").account, run.after, run.runId);
  if (!events) throw unknownSession(run.sessionId);
  const messages: SeedLine[] = [];
  const unnumbered: Writer = (line) => {
    messages.push(line);
    return "";
  };
  for await (const _text of story(events, run, lines, unnumbered)) continue;
  return messages.slice(0, -1);
}

type Writer = (line: SeedLine, seq: number) => string;
/** `seq` is where a client that was cut off reads on. */
const toLine: Writer = (line, seq) => `${JSON.stringify({ ...line, seq })}\n`;
const toSse: Writer = (line, seq) => `event: ${line.type}\nid: ${seq}\ndata: ${JSON.stringify({ ...line, seq })}\n\n`;

async function* story(
  events: ReadableStream<Uint8Array>,
  run: Telling,
  lines: SeedLines,
  write: Writer,
): AsyncGenerator<string> {
  for await (const text of toLines(events)) {
    if (text === "") {
      yield write === toSse ? ": \n\n" : "\n"; // heartbeat
      continue;
    }
    const event = JSON.parse(text) as StoredEvent;
    if (event.run_id !== run.runId) continue; // the run before this one is still talking
    // What was said before is needed to know what is left to say.
    const out = lines.of(event);
    if (out.length > 0 && event.seq > run.from) yield out.map((line) => write(line, event.seq)).join("");
  }
}
