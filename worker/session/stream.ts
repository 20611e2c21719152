import type { EventLog, LogView } from "./event-log.ts";

/** A silent stream says something this often: only a write shows that the reader is gone. */
export const HEARTBEAT_MS = 15_000;

const PAGE = 200;
const encoder = new TextEncoder();

/**
 * The log from a cursor on, as NDJSON, for as long as the reader reads. It pulls: replay and live are the same code,
 * and a slow reader holds nothing but its cursor. An empty line is a heartbeat.
 *
 * @param isOver tells, after everything up to a `seq` was sent, that nothing more will come for this reader.
 */
export function streamLog(
  log: EventLog,
  after: number,
  isOver: (line: string) => boolean,
  view: LogView = "all",
): ReadableStream<Uint8Array> {
  let cursor = after;
  let gone = false;
  return new ReadableStream({
    type: "bytes",
    async pull(controller: ReadableByteStreamController) {
      for (;;) {
        if (gone) return;
        const changed = log.changed();
        const { lines, last } = log.after(cursor, PAGE, view);
        if (lines.length > 0) {
          cursor = last;
          const end = lines.findIndex(isOver);
          const shown = end < 0 ? lines : lines.slice(0, end + 1);
          controller.enqueue(encoder.encode(`${shown.join("\n")}\n`));
          if (end >= 0) controller.close();
          return;
        }
        let timer: ReturnType<typeof setTimeout> | null = null;
        const beat = new Promise<"beat">((resolve) => (timer = setTimeout(() => resolve("beat"), HEARTBEAT_MS)));
        const woken = await Promise.race([changed, beat]);
        clearTimeout(timer);
        if (woken === "beat") {
          controller.enqueue(encoder.encode("\n"));
          return;
        }
      }
    },
    cancel() {
      gone = true;
      log.announce();
    },
  });
}
