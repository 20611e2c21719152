import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { RunEnded, RunError } from "@gantry/protocol/run-end.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { stopReasonOf } from "./decide.ts";
import type { DriverDeps } from "./driver-deps.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { Run } from "../store/run-queue.ts";

/** Error messages of runs that the runner did not end. */
export const RUN_ERROR = {
  lost: "The sandbox that ran this was lost; what it had done until then is in the log.",
  unreachable: "The sandbox could not be reached for a minute; what it had done until then is in the log.",
  stopped: "The engine was stopped while the run waited, and cannot go on with it.",
  unread: "The runner could not read what it was sent for this run.",
  withoutWork: "The sandbox was lost, and with it what this run had changed since its files were last saved.",
  withoutFiles: "Its files could not be brought back to a new sandbox. They are kept: send the prompt again.",
} as const;

/** Changes that touch only stored state: a run's state and the events that report it. */

type Deps = Pick<
  DriverDeps,
  "queue" | "approvals" | "threads" | "peers" | "onEnded" | "files" | "log" | "now" | "newEventId"
>;

/**
 * The run needs an answer: the session is idle until the calls named here are answered. That may take hours, in which
 * its sandbox may be lost, so its files are saved now. Inside a transaction.
 */
export function markWaiting(deps: Deps, run: Run): void {
  const { queue, approvals, log, now, newEventId } = deps;
  queue.setStatus("idle");
  deps.files?.wantSave(run.id);
  const stop_reason = { type: "requires_action" as const, event_ids: approvals.open().map((call) => call.toolUseId) };
  const event = { type: "session.status_idle" as const, stop_reason, stop_details: null };
  log.append([{ id: newEventId(), runId: run.id, at: now(), event }]);
}

/** Nothing waits any more: the run continues. Inside a transaction. */
export function markContinued(deps: Deps, run: Run): void {
  const { queue, log, now, newEventId } = deps;
  queue.setStatus("running");
  log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "session.status_running" } }]);
}

/**
 * No runner holds the run until it is answered. Its sandbox may be gone by then, so its files are saved while the sandbox
 * is still there. Inside a transaction.
 */
export function parkRun({ queue, files, now }: Deps, run: Run, isThere: boolean): void {
  queue.park(run.id, now());
  if (isThere) files?.wantSave(run.id);
}

/** Records that a run must stop. A run that no runner has yet ends at once. Inside a transaction. */
export function interruptRun(deps: Deps, run: Run): void {
  const { queue, log, now, newEventId } = deps;
  log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "user.interrupt" } }]);
  queue.requestInterrupt(run.id, now());
  if (run.sentTo === null) endRun(deps, run, { outcome: "interrupted", error: null });
}

/** Ends a run: writes its one terminal event, and the session's status if nothing waits. Inside a transaction. */
export function endRun(
  deps: Deps,
  run: Run,
  how: { outcome: RunEnded["outcome"]; error: RunError | null },
  reported?: NewEvent,
): void {
  const { queue, log, now, newEventId } = deps;
  if (how.error?.type === "sandbox_lost") deps.threads.abandon(deps);
  queue.end(run.id, now());
  // Files can be saved only when a runner ended the run itself.
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

/** Starts the next run. Inside a transaction. */
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

/** Ends a run that the runner did not end: as interrupted, if a client had asked for that. Inside a transaction. */
export function failRun(deps: Deps, run: Run, error: RunError): void {
  endRun(deps, run, run.interruptRequested ? { outcome: "interrupted", error: null } : { outcome: "failed", error });
}

/** Stores an answer with its event. A run that waits for nothing else continues. Inside a transaction. */
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

/** Allows a worker to carry out a call. Inside a transaction. */
export function allowCall(deps: Deps, run: Run, toolUseId: string, event: SessionEvent): void {
  const { approvals, log, now, newEventId } = deps;
  approvals.allow(toolUseId);
  log.append([{ id: newEventId(), runId: run.id, at: now(), event }]);
}
