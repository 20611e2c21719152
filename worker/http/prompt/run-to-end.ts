import { RequestRefused } from "@gantry/protocol/error.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import type { RunEnded } from "@gantry/protocol/run-end.ts";
import { runErrorStatus } from "@gantry/protocol/story-lines.ts";
import type { Context } from "hono";
import { toLines } from "../../base/ndjson.ts";
import type { SessionTarget } from "../../session/call/named-session.ts";
import { unknownSession } from "../../session/call/session-of.ts";
import { submit } from "../../session/call/submit.ts";
import { SOCKET_MAX_TURNS } from "../../session/sockets/sockets.ts";
import type { WantedOptions } from "../../session/store/run-options.ts";
import type { App } from "../request/context.ts";
import { repeatOf, tellingRequestId } from "../request/idempotency.ts";
import { actorOf } from "../request/query.ts";

/** A run that has ended, its session, and the headers that every answer about it carries. */
export interface EndedRun {
  readonly sessionId: string;
  readonly ended: RunEnded;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Submits a prompt and waits until its run has ended. `target` is null for a new session. The run does not stop when the
 * client goes away. Throws `RequestRefused` when the prompt is not accepted.
 */
export async function runToEnd(
  c: Context<App>,
  target: SessionTarget,
  prompt: string,
  trigger: string,
  given: WantedOptions = {},
): Promise<EndedRun> {
  const newPrompt = {
    prompt: [{ type: "text" as const, text: prompt }],
    options: { maxTurns: SOCKET_MAX_TURNS, ...given },
    trigger,
  };
  const accepted = await submit(c.env, actorOf(c), target, newPrompt, await repeatOf(c));
  const { stub, after, runId, sessionId } = accepted;
  const { account, keyId } = c.get("principal");
  const shape = { format: "ndjson", view: "all", previews: false, untilRun: runId, keyId } as const;
  const events = await stub.follow(account, String(after), shape);
  if (typeof events === "string") throw unknownSession(sessionId);
  const headers = { "x-session-id": sessionId, "x-run-id": runId, "cache-control": "no-store" };
  for await (const line of toLines(events)) {
    const event = line === "" ? null : (JSON.parse(line) as StoredEvent);
    if (event?.type === "run.ended" && event.run_id === runId) return { sessionId, ended: event, headers };
  }
  // The log of a run only ends before the run when the key does.
  throw new RequestRefused({ code: "unauthorized" });
}

/** What went wrong in a run that did not succeed, in words. */
export function failureOf({ error, outcome }: RunEnded): string {
  return error?.message ?? `The run was ${outcome}.`;
}

/** HTTP status for a run that did not succeed. */
export function failureStatusOf({ error, outcome }: RunEnded): number {
  return runErrorStatus(error?.type ?? outcome);
}

/** The answer for a run that did not succeed, in the shape that the prompt doors share. */
export function failedRun(c: Context<App>, { ended, sessionId, headers }: EndedRun): Response {
  return Response.json(
    {
      type: "error",
      error: ended.error?.type ?? ended.outcome,
      message: failureOf(ended),
      sessionId,
      requestId: tellingRequestId(c),
    },
    { status: failureStatusOf(ended), headers },
  );
}
