import { newId } from "@gantry/protocol/ids.ts";
import type { Approvals } from "../store/approvals.ts";
import type { EventLog } from "../log/event-log.ts";
import type { Submission, Submitted } from "../store/facts.ts";
import type { Lease } from "../store/lease.ts";
import type { Resources } from "../store/resources.ts";
import { contextOf, fromAgent, modeOf } from "../store/run-defaults.ts";
import { MAX_QUEUED } from "../store/run-queue.ts";
import type { RunQueue } from "../store/run-queue.ts";
import type { Settings } from "../store/settings.ts";
import type { Sql, Transaction } from "../sql.ts";
import type { Threads } from "../log/threads.ts";

/** What a session is made of: each part holds its own tables. */
export interface Parts {
  readonly sql: Sql;
  readonly sessionId: string;
  readonly transaction: Transaction;
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly lease: Lease;
  readonly approvals: Approvals;
  readonly threads: Threads;
  readonly settings: Settings;
  readonly resources: Resources;
}

/**
 * Accepts a prompt: the run and the events that tell of it are one transaction, and when this returns it is stored. A
 * submission that comes again under its run's id finds that run. `model` tells what a submission without one is run with.
 */
export function accept(parts: Parts, submission: Submission, model: () => string): Submitted {
  const { log, queue, settings, transaction } = parts;
  const known = submission.runId === undefined ? null : queue.get(submission.runId);
  if (known) {
    const { after, id: eventId } = log.beginOf(known.id, known.promptSeq);
    return { ok: true, runId: known.id, after, eventId, repeated: true };
  }
  const setup = settings.setup();
  if (setup?.archivedAt) return { ok: false, error: "archived" };
  const waiting = queue.queued();
  if (waiting >= MAX_QUEUED) return { ok: false, error: "queue_full" };
  const runId = submission.runId ?? newId("run");
  const now = Date.now();
  const options = {
    ...fromAgent(setup?.engine ?? {}),
    ...submission.options,
    ...modeOf(setup, submission),
    ...contextOf(submission),
    model: submission.options.model ?? model(),
  };
  const eventId = newId("event");
  const after = log.last();
  const position = waiting + (queue.running() ? 1 : 0);
  transaction(() => {
    const events = [
      { type: "run.queued" as const, position, trigger: submission.trigger },
      { type: "user.message" as const, content: [...submission.prompt] },
    ];
    const system = submission.system && { type: "system.message" as const, content: [...submission.system.content] };
    const promptSeq = log.append(
      events.map((event) => ({
        id: event.type === "user.message" ? eventId : newId("event"),
        runId,
        at: now,
        event,
      })),
    );
    if (system) log.append([{ id: submission.system?.eventId ?? "", runId, at: now, event: system }]);
    queue.add({ id: runId, trigger: submission.trigger, options, promptSeq, now });
  });
  return { ok: true, runId, after, eventId };
}
