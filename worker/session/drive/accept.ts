import { newId } from "@gantry/protocol/ids.ts";
import type { Submission, Submitted } from "../store/facts.ts";
import { mergeOptions } from "../store/run-options.ts";
import type { OptionSources } from "../store/run-options.ts";
import { MAX_QUEUED } from "../store/run-queue.ts";
import type { SessionParts } from "./session-parts.ts";

/**
 * Accepts a prompt: the run and its first events are one transaction, and when this returns it is stored. A submission
 * that is repeated under its run's id finds that run. `defaults` fill in what neither the submission nor the session says.
 */
export function accept(
  parts: SessionParts,
  submission: Submission,
  defaults: Pick<OptionSources, "defaultMode" | "model">,
): Submitted {
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
  const options = mergeOptions({
    ...defaults,
    setup,
    wanted: submission.options,
    isApi: submission.trigger === "api",
    context: submission.system?.content.map((block) => block.text).join("\n\n"),
  });
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
