import { PREVIEW_TYPES, UPKEEP_TYPES } from "@gantry/protocol/event.ts";
import { headerOf } from "./event-log.ts";
import type { EventLog, LogPage, LogView } from "./event-log.ts";

/** Period of heartbeats on a silent stream: only a write reveals that the reader is gone. */
export const HEARTBEAT_MS = 15_000;

/** A stream asks this often whether the key that opened it is still valid: the heartbeats of a silent one included. */
export const ASK_MS = 30_000;

/** Events per page. One number for all readers, so that they share pages. */
export const PAGE = 200;

/** The form in which a reader wants the log. */
export interface StreamShape {
  /** `ndjson`: one line per event; an empty line is a heartbeat. `sse`: server-sent events whose ids are the `seq`. */
  readonly format: "ndjson" | "sse";
  /** Events of one thread, or of all. */
  readonly view: LogView;
  /** Whether to include previews of texts that are still arriving. */
  readonly previews: boolean;
  /** Whether to include upkeep of the files between runs. Absent: yes. */
  readonly upkeep?: boolean;
  /** The stream ends when this run ends; null: never. */
  readonly untilRun: string | null;
  /** Id of the key that opened the stream. The stream ends when the key does. */
  readonly keyId: string;
}

const HEARTBEAT = { ndjson: "\n", sse: ": \n\n" } as const;
const encoder = new TextEncoder();

/**
 * Streams the log after a cursor for as long as the reader reads. It pulls: replay and live events take the same path,
 * and a slow reader holds nothing but its cursor.
 *
 * @param mayReadOn whether the key that opened the stream is still valid; asked every `ASK_MS`.
 * @param tell turns each line, in order, into what the reader gets; absent: the line itself.
 */
export function streamLog(
  log: EventLog,
  after: number,
  shape: StreamShape,
  mayReadOn: () => Promise<boolean>,
  tell?: (line: string) => string,
): ReadableStream<Uint8Array> {
  const write = tell ?? ((line: string): string => pieceOf(line, shape));
  let cursor = after;
  let gone = false;
  let wroteAt = Date.now();
  let askedAt = Date.now();
  const isOver = (line: string): boolean =>
    shape.untilRun !== null &&
    line.startsWith('{"type":"run.ended"') &&
    line.includes(`"run_id":${JSON.stringify(shape.untilRun)}`);
  return new ReadableStream({
    type: "bytes",
    async pull(controller: ReadableByteStreamController) {
      for (;;) {
        if (gone) return;
        if (Date.now() - askedAt >= ASK_MS) {
          askedAt = Date.now();
          if (!(await mayReadOn())) {
            controller.close();
            // A reader that brought its own buffer waits until the buffer is given back.
            controller.byobRequest?.respond(0);
            return;
          }
        }
        const changed = log.changed();
        const page = log.after(cursor, PAGE, shape.view);
        if (page.lines.length > 0) {
          cursor = page.last;
          const end = shape.untilRun === null ? -1 : page.lines.findIndex(isOver);
          const lines = end < 0 ? page.lines : page.lines.slice(0, end + 1);
          const text = end < 0 && !tell ? textOf(page, shape) : lines.map(write).join("");
          if (text !== "") {
            wroteAt = Date.now();
            controller.enqueue(encoder.encode(text));
          }
          if (end >= 0) controller.close();
          if (text !== "" || end >= 0) return;
          continue; // nothing that this reader wants
        }
        let timer: ReturnType<typeof setTimeout> | null = null;
        const pause = Math.max(0, wroteAt + HEARTBEAT_MS - Date.now());
        const beat = new Promise<"beat">((resolve) => (timer = setTimeout(() => resolve("beat"), pause)));
        const woken = await Promise.race([changed, beat]);
        clearTimeout(timer);
        if (woken === "beat") {
          wroteAt = Date.now();
          controller.enqueue(encoder.encode(HEARTBEAT[shape.format]));
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

/** A page in a shape, made once for all readers at that position. */
const made = new WeakMap<LogPage, Map<string, string>>();

function textOf(page: LogPage, shape: StreamShape): string {
  const texts = made.get(page) ?? new Map<string, string>();
  made.set(page, texts);
  const key = `${shape.format} ${shape.previews} ${shape.upkeep ?? true}`;
  const text = texts.get(key) ?? page.lines.map((line) => pieceOf(line, shape)).join("");
  texts.set(key, text);
  return text;
}

function pieceOf(line: string, { format, previews, upkeep = true }: StreamShape): string {
  if (!previews && isPreview(line)) return "";
  if (!upkeep && UPKEEP_TYPES.some((type) => line.startsWith(`{"type":"${type}"`))) return "";
  if (format === "ndjson") return `${line}\n`;
  const { type, seq } = headerOf(line);
  return toServerSentEvent(type, seq, line);
}

/** A client that was cut off resumes from `seq`. */
export function toServerSentEvent(type: string, seq: number, data: string): string {
  return `event: ${type}\nid: ${seq}\ndata: ${data}\n\n`;
}

/** Whether a line of the log is only a preview of a text that is still arriving. */
export function isPreview(line: string): boolean {
  return line.startsWith('{"type":"event_') && PREVIEW_TYPES.some((type) => line.startsWith(`{"type":"${type}"`));
}
