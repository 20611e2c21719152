import { AgentMessage } from "@gantry/protocol/api/doors.ts";
import type { Context } from "hono";
import { toTarget } from "../../session/call/named-session.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { failedRun, runToEnd } from "./run-to-end.ts";

/**
 * `POST /agent/message`: a prompt without a WebSocket, in the sessions that `/demo/ws` opens. Answers when the run has
 * ended.
 */
export async function agentMessage(c: Context<App>): Promise<Response> {
  const { message, sessionId: name, model } = await readJson(c.req.raw, AgentMessage);
  const given = model === undefined ? {} : { model };
  const run = await runToEnd(c, toTarget(name), message, "agent-message", given);
  const { sessionId, ended, headers } = run;
  if (ended.outcome !== "succeeded") return failedRun(c, run);
  return c.json({ status: "Message processed", timestamp: Date.now(), sessionId, result: ended.result }, 200, headers);
}
