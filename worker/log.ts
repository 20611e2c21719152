import { sleep } from "@gantry/router/effects.ts";

/** Writes one line of structured log. Values are settings, ids and reasons; never prompts, keys or tool output. */
export function report(entry: Record<string, unknown>): void {
  write(toLine(entry));
}

/** Milliseconds. */
const LATER_MS = 100;

/** Lines that are written together, and since when the first of them waits. */
let waiting: string[] = [];
let waitingSince = 0;

/**
 * The same for what is said of each request, a little later and together. On one machine another program wakes to read
 * the lines, just when the answer is on its way: three of them took three milliseconds of a run.
 */
export function reportLater(entry: Record<string, unknown>, waitUntil: (work: Promise<void>) => void): void {
  waiting.push(toLine(entry));
  const now = Date.now();
  // Who was to write the others may have been ended before it came to that.
  if (waiting.length > 1 && now - waitingSince < 2 * LATER_MS) return;
  waitingSince = now;
  waitUntil(sleep(LATER_MS).then(writeWaiting));
}

function writeWaiting(): void {
  const lines = waiting;
  waiting = [];
  for (const line of lines) write(line);
}

function toLine(entry: Record<string, unknown>): string {
  return JSON.stringify({ at: new Date().toISOString(), from: "worker", ...entry });
}

function write(line: string): void {
  // oxlint-disable-next-line no-console -- the one place that writes
  console.log(line);
}
