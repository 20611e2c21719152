import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { RunEnded, RunError } from "@gantry/protocol/run-end.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { stopReasonOf } from "./decide.ts";
import type { DriverDeps } from "./driver-deps.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { Run } from "../store/run-queue.ts";

/** Why a run failed that the runner did not end, as its user reads it. */
export const RUN_ERROR = {
  lost: "The sandbox that ran this was lost; what it had done until then is in the log.",
  unreachable: "The sandbox could not be reached for a minute; what it had done until then is in the log.",
  stopped: "The engine was stopped while the run waited, and cannot go on with it.",
  unread: "The runner could not read what it was sent for this run.",
  withoutWork: "The sandbox was lost, and with it what this run had changed since its files were last saved.",
  withoutFiles: "Its files could not be brought back to a new sandbox. They are kept: send the prompt again.",
} as const;

/** Changes of the driver that touch only what is stored: a state, and the events that tell of it. */

type Deps = Pick<
  DriverDeps,
  "queue" | "approvals" | "threads" | "peers" | "onEnded" | "files" | "log" | "now" | "newEventId"
>;

/**
 * The run needs somebody: the session is idle until the calls named here are answered. That may take hours, in which its
 * sandbox may go, so what it has done so far is saved. Inside a transaction.
 */
export function sayItWaits(deps: Deps, run: Run): void {
  const { queue, approvals, log, now, newEventId } = deps;
  queue.setStatus("idle");
  deps.files?.wantSave(run.id);
  const stop_reason = { type: "requires_action" as const, event_ids: approvals.open().map((call) => call.toolUseId) };
  const event = { type: "session.status_idle" as const, stop_reason, stop_details: null };
  log.append([{ id: newEventId(), runId: run.id, at: now(), event }]);
}

/** What was asked is over: the run goes on. Inside a transaction. */
export function sayItGoesOn(deps: Deps, run: Run): void {
  const { queue, log, now, newEventId } = deps;
  queue.setStatus("running");
  log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "session.status_running" } }]);
}

/**
 * Nobody holds the run until it is answered. Its sandbox may be gone by then: what it has left so far is to be saved,
 * while there is somebody to ask for it. Inside a transaction.
 */
export function parkRun({ queue, files, now }: Deps, run: Run, isThere: boolean): void {
  queue.park(run.id, now());
  if (isThere) files?.wantSave(run.id);
}

/** Notes that a run is to stop; one that nobody has yet is over. Inside a transaction. */
export function interruptRun(deps: Deps, run: Run): void {
  const { queue, log, now, newEventId } = deps;
  log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "user.interrupt" } }]);
  queue.requestInterrupt(run.id, now());
  if (run.sentTo === null) endRun(deps, run, { outcome: "interrupted", error: null });
}

/** Ends a run: its one terminal event, and the session's status if nothing waits. Inside a transaction. */
export function endRun(
  deps: Deps,
  run: Run,
  how: { outcome: RunEnded["outcome"]; error: RunError | null },
  reported?: NewEvent,
): void {
  const { queue, log, now, newEventId } = deps;
  if (how.error?.type === "sandbox_lost") deps.threads.abandon(deps);
  queue.end(run.id, now());
  // Only what a runner itself ended is there to be saved.
  if (reported && run.sentTo !== null) deps.files?.wantSave(run.id);
  deps.approvals.close(run.id);
  deps.peers.close(run, how.outcome);
  deps.onEnded(run);
  const event: RunEnded = { type: "run.ended", result: "", usage: null, num_turns: 0, duration_ms: 0, ...how };
  const events: NewEvent[] = [
    reported ? { ...reported, thread: undefined } : { id: newEventId(), runId: run.id, at: now(), event },
  ];
  const nothingWaits = !queue.running() && !queue.next();
  if (nothingWaits && (how.outcome !== "cancelled" || queue.status() === "running")) {
    queue.setStatus("idle");
    const stop_reason = { type: stopReasonOf(how) };
    events.push({
      id: newEventId(),
      runId: run.id,
      at: now(),
      event: { type: "session.status_idle", stop_reason, stop_details: null },
    });
  }
  log.append(events);
}

/** The next run begins. Inside a transaction. */
export function startRun({ queue, log, now, newEventId }: Deps, next: Run): void {
  const first = queue.status() === "idle";
  queue.start(next.id, now());
  queue.setStatus("running");
  const events: SessionEvent[] = [
    ...(first ? [{ type: "session.status_running" as const }] : []),
    { type: "run.started", model: next.options.model, permission_mode: next.options.permissionMode },
  ];
  log.append(events.map((event) => ({ id: newEventId(), runId: next.id, at: now(), event })));
}

/** Ends a run that the runner did not end: as stopped, when somebody wanted that. Inside a transaction. */
export function failRun(deps: Deps, run: Run, error: RunError): void {
  endRun(deps, run, run.interruptRequested ? { outcome: "interrupted", error: null } : { outcome: "failed", error });
}

/** Stores an answer to a tool call that waits, with its event; a run that waits for nothing else goes on. Inside a transaction. */
export function takeAnswer(
  { queue, approvals, log, now, newEventId }: Deps,
  run: Run,
  toolUseId: string,
  answer: ToolAnswer,
  event: SessionEvent,
): void {
  approvals.answer(toolUseId, answer);
  const events: SessionEvent[] = [event];
  if (approvals.open().length === 0) {
    queue.setStatus("running");
    events.push({ type: "session.status_running" });
    if (run.state === "parked") queue.unpark(run.id);
  }
  log.append(events.map((each) => ({ id: newEventId(), runId: run.id, at: now(), event: each })));
}

/** A worker may carry out a call. Inside a transaction. */
export function allowCall(deps: Deps, run: Run, toolUseId: string, event: SessionEvent): void {
  const { approvals, log, now, newEventId } = deps;
  approvals.allow(toolUseId);
  log.append([{ id: newEventId(), runId: run.id, at: now(), event }]);
}
