import { Later } from "./later.ts";

/** Writes one line of structured log. Values are settings, ids and reasons; never prompts, keys or tool output. */
export function report(entry: Record<string, unknown>): void {
  write(toLine(entry));
}

/** Another program wakes to read them, on one machine: three lines took three milliseconds of a run. */
const lines = new Later<string>(100, (waiting) => waiting.forEach(write));

/** The same for what is said of each request, a little later and together. */
export function reportLater(entry: Record<string, unknown>, waitUntil: (work: Promise<void>) => void): void {
  lines.add(toLine(entry), waitUntil);
}

function toLine(entry: Record<string, unknown>): string {
  return JSON.stringify({ at: new Date().toISOString(), from: "worker", ...entry });
}

function write(line: string): void {
  // oxlint-disable-next-line no-console -- the one place that writes
  console.log(line);
}
