import { ContainerProcess } from "@gantry/protocol/api/container.ts";
import type { Context } from "hono";
import { runnerHealthNow } from "../../sandbox/space.ts";
import { sandboxLevel } from "../../session/parts/sandbox.ts";
import { VERSION } from "../about/root.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { failedRun, runToEnd } from "./run-to-end.ts";

/** `POST /container/process`: a prompt in a new sandbox, or in an existing session's. Answers when the run has ended. */
export async function containerProcess(c: Context<App>): Promise<Response> {
  const { payload, config } = await readJson(c.req.raw, ContainerProcess);
  const given = {
    ...(config.model === undefined ? {} : { model: config.model }),
    ...(config.maxTurns === undefined ? {} : { maxTurns: config.maxTurns }),
    ...(config.permissionMode === undefined ? {} : { permissionMode: config.permissionMode }),
  };
  const run = await runToEnd(c, payload.sessionId ?? null, payload.prompt, "container", given);
  const { sessionId, ended, headers } = run;
  if (ended.outcome !== "succeeded") return failedRun(c, run);
  const body = { success: true, message: "Processed", result: ended.result, sessionId };
  return c.json(body, 200, headers);
}

/**
 * `GET /container/health`: the health of the runner that all sessions share on one machine; 503 when it does not answer.
 * On Cloudflare each session has a container of its own, so `runner` is null and the status is always `healthy`.
 */
export async function containerHealth(c: Context<App>): Promise<Response> {
  const shared = c.env.RUNNER_URL !== undefined;
  const runner = shared ? await runnerHealthNow(c.env) : null;
  const status = shared && runner === null ? "unreachable" : "healthy";
  const level = sandboxLevel(c.env);
  return c.json({ status, version: VERSION, level, runner }, status === "healthy" ? 200 : 503);
}
