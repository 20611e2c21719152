/** Writes one line of structured log. Values are settings, ids and reasons; never prompts, keys or tool output. */
export function report(entry: Record<string, unknown>): void {
  // oxlint-disable-next-line no-console -- the one place that writes
  console.log(JSON.stringify({ at: new Date().toISOString(), from: "worker", ...entry }));
}

/** Milliseconds. */
const LATER_MS = 100;

/**
 * The same for what is said of each request, a little later. On one machine another program wakes to read the line, just
 * when the answer is on its way: three such lines took three milliseconds of a run.
 */
export function reportLater(entry: Record<string, unknown>, waitUntil: (work: Promise<void>) => void): void {
  const at = new Date().toISOString();
  waitUntil(new Promise((resolve) => setTimeout(resolve, LATER_MS)).then(() => report({ at, ...entry })));
}
