import { appendFileSync, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";

/** Above this the file is put aside, and the one before it goes. */
const MAX_LOG_BYTES = 20_000_000;

/**
 * Everything the parts report goes to one file of JSON lines; the screen is for people. Writing never throws: a full
 * disk costs lines, which are counted, and not the program.
 */
export function openLog(state: string): (line: string) => void {
  const folder = join(state, "log");
  const file = join(folder, "gantry.ndjson");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let missing = 0;
  /** A line may have been written in part. */
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
