import { toLogLine } from "@gantry/router/base/log-line.ts";
import { Later } from "./later.ts";

/** Writes one structured log line. Values are settings, ids and reasons; never prompts, keys or tool output. */
export function report(entry: Record<string, unknown>): void {
  write(toLine(entry));
}

/** On one machine another process wakes up for each write: three lines cost a run three milliseconds. */
const lines = new Later<string>(100, (waiting) => waiting.forEach(write));

/** Writes a log line a little later, in a batch with others. For lines that every request produces. */
export function reportLater(entry: Record<string, unknown>, waitUntil: (work: Promise<void>) => void): void {
  lines.add(toLine(entry), waitUntil);
}

function toLine(entry: Record<string, unknown>): string {
  return toLogLine({ at: new Date().toISOString(), from: "worker", ...entry });
}

function write(line: string): void {
  // oxlint-disable-next-line no-console -- the only line that writes to the log
  console.log(line);
}
