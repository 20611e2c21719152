import { appendFileSync, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

/** A log file above this size is renamed to `.1`, which replaces the one before. */
const MAX_LOG_BYTES = 20_000_000;

/**
 * Opens the log: all parts write to one file of JSON lines, and the screen is for people. Writing never throws: on a full
 * disk lines are lost and counted, and the program goes on.
 */
export function openLog(state: string): (line: string) => void {
  const folder = join(state, "log");
  const file = join(folder, "gantry.ndjson");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let missing = 0;
  /** Whether the last line may have been written in part. */
  let torn = false;
  return (line) => {
    try {
      if (existsSync(file) && statSync(file).size > MAX_LOG_BYTES) renameSync(file, `${file}.1`);
      const at = new Date().toISOString();
      const lost = missing === 0 ? "" : `${JSON.stringify({ at, from: "launcher", event: "lines_lost", missing })}\n`;
      appendFileSync(file, `${torn ? "\n" : ""}${lost}${line}\n`, { mode: 0o600 });
      missing = 0;
      torn = false;
    } catch {
      missing += 1;
      torn = true;
    }
  };
}
