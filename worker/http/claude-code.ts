import { ClaudeCodeRequest } from "@gantry/protocol/api/doors.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import type { Context } from "hono";
import { parseAdditionalArgs } from "./additional-args.ts";
import { readJson } from "./body.ts";
import type { App } from "./context.ts";
import { tellingRequestId } from "./idempotency.ts";
import { STREAM_HEADERS, toBody, toLines } from "./ndjson.ts";
import { completeOptions } from "./run-options.ts";
import { SeedLines, runErrorStatus } from "./seed-lines.ts";
import type { SeedLine } from "./seed-lines.ts";
import { submit, unknownSession } from "./sessions.ts";
import type { Accepted } from "./sessions.ts";

/**
 * The seeds' door: one prompt in, and the run's story out, as one JSON object a line while it happens, or as one
 * object at the end. A client that goes away stops nothing: the run belongs to its session.
 */
export async function claudeCode(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, ClaudeCodeRequest);
  const { verbose: verboseArg, ...fromArgs } = parseAdditionalArgs(body.additionalArgs);
  const options = completeOptions(c.env, {
    ...fromArgs,
    ...(body.model === undefined ? {} : { model: body.model }),
    ...(body.maxTurns === undefined ? {} : { maxTurns: body.maxTurns }),
    ...(body.permissionMode === undefined ? {} : { permissionMode: body.permissionMode }),
  });
  const { account } = c.get("principal");
  const accepted = await submit(c, body.sessionId, {
    prompt: [{ type: "text", text: body.prompt }],
    options,
    trigger: "claude-code",
  });
  const events = await accepted.stub.stream(account, accepted.after, accepted.runId);
  if (!events) throw unknownSession(accepted.sessionId);
  const requestId = tellingRequestId(c);
  const lines = new SeedLines({
    sessionId: accepted.sessionId,
    runId: accepted.runId,
    requestId,
    verbose: body.verbose || verboseArg === true,
  });
  const headers = { "x-session-id": accepted.sessionId, "x-run-id": accepted.runId, "cache-control": "no-store" };
  if (body.stream) {
    return new Response(toBody(story(events, accepted, lines)), {
      headers: { ...headers, ...STREAM_HEADERS, "content-type": "text/plain; charset=utf-8" },
    });
  }
  const messages: SeedLine[] = [];
  for await (const text of story(events, accepted, lines)) {
    for (const line of text.split("\n")) if (line !== "") messages.push(JSON.parse(line) as SeedLine);
  }
  const last = messages.pop();
  const answer = { ...last, ...(body.verbose ? { messages } : {}) };
  return Response.json(answer, { status: last?.type === "error" ? runErrorStatus(last["error"]) : 200, headers });
}

async function* story(
  events: ReadableStream<Uint8Array>,
  accepted: Accepted,
  lines: SeedLines,
): AsyncGenerator<string> {
  for await (const text of toLines(events)) {
    if (text === "") {
      yield "\n"; // heartbeat
      continue;
    }
    const event = JSON.parse(text) as StoredEvent;
    if (event.run_id !== accepted.runId) continue; // the run before this one is still talking
    const out = lines.of(event);
    if (out.length > 0) yield out.map((line) => `${JSON.stringify(line)}\n`).join("");
  }
}
