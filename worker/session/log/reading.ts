import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { EndOfRun, EventLog, LogPage } from "./event-log.ts";
import type { ListedRun, RunQueue } from "../store/run-queue.ts";
import { PAGE, isPreview } from "./stream.ts";
import type { StreamShape } from "./stream.ts";

/** Reads that may wait. They look first and then wait, so that no event is missed in between. */

/** One run, as `GET …/runs/{run}` shows it. */
export interface RunFacts extends ListedRun {
  /** Null until the run has ended. */
  readonly ended: EndOfRun | null;
  /** Tokens of the run's model requests so far. */
  readonly usage: ModelUsage;
}

/** One run, as soon as it has ended, or as it is after `waitMs`. Null: there is no such run. */
export function runWithin(log: EventLog, queue: RunQueue, runId: string, waitMs: number): Promise<RunFacts | null> {
  return firstWithin(log, waitMs, (isLast) => {
    const found = queue.listed(runId);
    if (!found) return { value: null };
    if (found.state !== "ended" && !isLast) return null;
    const ended = found.state === "ended" ? log.endOf(found) : null;
    return { value: { ...found, ended, usage: ended?.usage ?? log.usageOf(found) } };
  });
}

/** How a run ended, in words. Null: it has not ended, or there is no such run. */
export function resultOf(log: EventLog, queue: RunQueue, runId: string): { text: string; isError: boolean } | null {
  const run = queue.get(runId);
  if (run?.state !== "ended") return null;
  const end = log.endOf(run);
  if (!end) return null;
  const { outcome, result, error } = end;
  return { text: result || error?.message || `The run was ${outcome}.`, isError: outcome !== "succeeded" };
}

/** Events after `after`, as soon as there are any; an empty page after `waitMs`. */
export function pageWithin(
  log: EventLog,
  after: number,
  { view, previews }: Pick<StreamShape, "view" | "previews">,
  waitMs: number,
): Promise<LogPage> {
  let cursor = after;
  return firstWithin(log, waitMs, (isLast) => {
    for (;;) {
      const page = log.after(cursor, PAGE, view);
      const lines = previews ? page.lines : page.lines.filter((line) => !isPreview(line));
      cursor = page.last;
      if (lines.length > 0 || (isLast && page.lines.length === 0))
        return { value: { lines, last: cursor, more: page.more } };
      if (page.lines.length === 0) return null;
    }
  });
}

/** Calls `look` at once, after each change of the log, and a last time when the wait is over: then it must answer. */
async function firstWithin<T>(
  log: EventLog,
  waitMs: number,
  look: (isLast: boolean) => { value: T } | null,
): Promise<T> {
  const until = Date.now() + waitMs;
  for (;;) {
    const left = until - Date.now();
    const changed = log.changed();
    const found = look(left <= 0);
    if (found) return found.value;
    let timer: ReturnType<typeof setTimeout> | null = null;
    await Promise.race([changed, new Promise((resolve) => (timer = setTimeout(resolve, Math.max(0, left))))]);
    clearTimeout(timer ?? undefined);
  }
}

/** Sum of two token counts. */
export function sumUsage(a: ModelUsage, b: ModelUsage): ModelUsage {
  return {
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cache_creation_input_tokens: a.cache_creation_input_tokens + b.cache_creation_input_tokens,
    cache_read_input_tokens: a.cache_read_input_tokens + b.cache_read_input_tokens,
  };
}
