import type { RunEnded, RunError } from "@gantry/protocol/run-end.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Run } from "../store/run-queue.ts";

/** The driver's decisions, as pure functions. */

/**
 * What happens to the run in progress after a link was opened:
 * - `none`: there is none;
 * - `attached`: the runner has it, or its end (or how it came to be parked) is among the frames that follow;
 * - `send`: the runner has never had it: send its start;
 * - `park`: it waits for an answer and the engine that asked is gone: it needs no engine until then;
 * - `lost`: it was sent to a runner that is gone. It may have had effects, so it is not started again.
 *
 * `waits` comes from `Approvals.waits`: unless it is `no`, no call that it asked about has begun, so the run can continue
 * on another runner.
 */
export function onWelcome(
  run: Run | null,
  welcome: Extract<Report, { type: "welcome" }>,
  waits: "no" | "for_client" | "answered" = "no",
): "none" | "attached" | "send" | "park" | "lost" {
  if (!run) return "none";
  if ([welcome.activeRunId, welcome.parkedRunId, ...welcome.endedRunIds].includes(run.id)) return "attached";
  if (waits === "answered") return "send";
  if (waits === "for_client") return run.interruptRequested ? "lost" : "park";
  if (run.sentTo === null || run.sentTo === welcome.runnerId) return "send";
  return "lost";
}

/**
 * What to do with a frame. `store`: it is the next one. `repeat`: it is stored already; acknowledge it again. `gap`: one
 * is missing; close the link, and the runner resends everything.
 */
export function onFrame(stored: number, frame: number): "store" | "repeat" | "gap" {
  if (frame <= stored) return "repeat";
  return frame === stored + 1 ? "store" : "gap";
}

/** Silence after which an open link counts as dead: a runner answers a ping at once. */
export const SILENCE_LIMIT_MS = 12_000;

/** How long a runner may be unreachable before its run is given up. */
export const UNREACHABLE_LIMIT_MS = 60_000;

/** What the watchdog does with an active run. */
export function onWatchdog(args: {
  now: number;
  linked: boolean;
  lastHeardAt: number;
  unreachableSince: number | null;
}): "ping" | "dial" | "redial" | "give_up" {
  if (args.linked) return args.now - args.lastHeardAt > SILENCE_LIMIT_MS ? "redial" : "ping";
  if (args.unreachableSince !== null && args.now - args.unreachableSince > UNREACHABLE_LIMIT_MS) return "give_up";
  return "dial";
}

/** The stop reason of a session after a run that ended this way. */
export function stopReasonOf(how: {
  outcome: RunEnded["outcome"];
  error: RunError | null;
}): "end_turn" | "retries_exhausted" | "budget_reached" | "refusal" {
  switch (how.error?.type) {
    case "max_budget":
      return "budget_reached";
    case "refused":
      return "refusal";
    case "upstream_error":
    case "sandbox_lost":
    case "restore_failed":
    case "engine_failed":
      return "retries_exhausted";
    default:
      return "end_turn";
  }
}
