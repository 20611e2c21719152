import type { Env } from "../../base/env.ts";
import { addWork } from "../../self-hosted/work.ts";
import { report } from "../../base/log.ts";
import { markWaiting } from "../../storage/session-index.ts";
import type { Approvals } from "../store/approvals.ts";
import type { RunQueue } from "../store/run-queue.ts";
import type { Settings } from "../store/settings.ts";

/** Tells the index when this session begins or ceases to wait for an answer. The alarm retries. */
export function tellWaiting(ctx: DurableObjectState, env: Env, approvals: Approvals, settings: Settings): void {
  const waits = approvals.open().length > 0;
  if (waits === settings.toldWaiting()) return;
  ctx.waitUntil(
    markWaiting(env, ctx.id.name ?? "", waits).then(
      () => settings.saveToldWaiting(waits),
      (error: unknown) => report({ event: "index_not_told", sessionId: ctx.id.name, error: String(error) }),
    ),
  );
}

/** Offers work to self-hosted workers when a run of the session begins. The alarm retries. */
export function tellWork(
  ctx: DurableObjectState,
  env: Env,
  account: () => string,
  queue: RunQueue,
  settings: Settings,
): void {
  const environmentId = settings.selfHostedIn();
  const run = environmentId === null ? null : (queue.running() ?? queue.next());
  if (environmentId === null || run === null || run.id === settings.toldWork()) return;
  const session = ctx.id.name ?? "";
  ctx.waitUntil(
    addWork(env, { account: account(), environmentId, session }, 0).then(
      () => settings.saveToldWork(run.id),
      (error: unknown) => report({ event: "work_not_told", sessionId: session, error: String(error) }),
    ),
  );
}
