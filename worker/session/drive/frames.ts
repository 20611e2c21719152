import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { RunEnded } from "@gantry/protocol/run-end.ts";
import { FramedEvent } from "@gantry/protocol/link.ts";
import type { Frame } from "@gantry/protocol/link.ts";
import type { DriverDeps } from "./driver-deps.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { Run } from "../store/run-queue.ts";
import { endRun, markContinued, markWaiting } from "./transitions.ts";

/** The events of a frame that may be stored: well-formed ones, of the run in progress or of no run. */
export function acceptFrame(
  frame: Frame,
  run: Run | null,
  { report, now, newEventId }: Pick<DriverDeps, "report" | "now" | "newEventId">,
): NewEvent[] {
  if (frame.runId !== null && frame.runId !== run?.id) {
    report({ event: "frame_of_other_run", runId: frame.runId, current: run?.id ?? null });
    return [];
  }
  return frame.events.flatMap((value): NewEvent[] => {
    const parsed = FramedEvent.safeParse(value);
    if (parsed.success) {
      const { id, at, thread, call, ...event } = parsed.data;
      return [{ id, runId: frame.runId, at: Math.min(at, now()), event: event as SessionEvent, thread, call }];
    }
    // If it were refused, the runner would resend it for ever. The log says that something is missing.
    const message = `The runner reported something unreadable: ${parsed.error.issues[0]?.message ?? "unknown"}`;
    const error = { type: "unknown_error" as const, message, retry_status: { type: "exhausted" as const } };
    return [{ id: newEventId(), runId: frame.runId, at: now(), event: { type: "session.error", error } }];
  });
}

/** Stores a frame's events and their consequences; `ended` is the run's end among them. Inside a transaction. */
export function storeEvents(deps: DriverDeps, run: Run | null, events: NewEvent[], ended: NewEvent | undefined): void {
  const { log, threads, peers, approvals } = deps;
  const before = events.filter((entry) => entry.event.type !== "run.ended");
  log.append(before);
  threads.note(before);
  peers.note(before);
  const asked = run !== null && approvals.noteQuestions(events);
  const waited = approvals.open().length > 0;
  approvals.noteResults(events);
  if (run && !ended && asked) markWaiting(deps, run);
  // The call that was asked about is over without an answer.
  else if (run && !ended && waited && approvals.open().length === 0) markContinued(deps, run);
  if (run && ended) endRun(deps, run, ended.event as RunEnded, ended);
}
