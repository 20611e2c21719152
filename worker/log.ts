/** Writes one line of structured log. Values are settings, ids and reasons; never prompts, keys or tool output. */
export function report(entry: Record<string, unknown>): void {
  // oxlint-disable-next-line no-console -- the one place that writes
  console.log(JSON.stringify({ at: new Date().toISOString(), from: "worker", ...entry }));
}
