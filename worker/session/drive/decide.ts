import type { RunEnded, RunError } from "@gantry/protocol/run-end.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Run } from "../store/run-queue.ts";

/** What the driver decides, as functions of what it knows. */

/**
 * After a link has been opened, about the run in progress:
 * - `none`: there is none;
 * - `attached`: the runner has it, or had it and its end, or how it came to be parked, is among the frames that follow;
 * - `send`: the runner has never heard of it: this is its start;
 * - `park`: it waits for somebody, and the engine that asked is gone: it needs none until it is answered;
 * - `lost`: it was sent to a runner that is gone. It may have done anything, so it is not started again.
 *
 * `waits` is what `Approvals.waits` says of it: nothing that it asked about has begun, so it can go on elsewhere.
 */
export function onWelcome(
  run: Run | null,
  welcome: Extract<Report, { type: "welcome" }>,
  waits: "no" | "for_somebody" | "answered" = "no",
): "none" | "attached" | "send" | "park" | "lost" {
  if (!run) return "none";
  if ([welcome.activeRunId, welcome.parkedRunId, ...welcome.endedRunIds].includes(run.id)) return "attached";
  if (waits === "answered") return "send";
  if (waits === "for_somebody") return run.interruptRequested ? "lost" : "park";
  if (run.sentTo === null || run.sentTo === welcome.runnerId) return "send";
  return "lost";
}

/**
 * About a frame: `store` the next one, `repeat` one that is stored already (acknowledge again), `gap` when one is
 * missing: the link is closed and the runner sends everything again.
 */
export function onFrame(stored: number, frame: number): "store" | "repeat" | "gap" {
  if (frame <= stored) return "repeat";
  return frame === stored + 1 ? "store" : "gap";
}

/** Silence after which a link counts as dead although the socket is open: a runner answers a ping at once. */
export const SILENCE_LIMIT_MS = 12_000;

/** How long a runner may be out of reach before the run it held is given up. */
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

/** Why a session is idle after a run that ended so. */
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
