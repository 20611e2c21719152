import type { Env } from "../env.ts";
import { report } from "../log.ts";
import { markWaiting } from "../storage/session-index.ts";
import type { Approvals } from "./approvals.ts";
import type { Settings } from "./settings.ts";

/** Tells the index of sessions when this one begins to wait for somebody, or no longer does; tried again by the alarm. */
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
