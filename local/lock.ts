import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";

/** Held for life; the system lets go of it when the process ends, however it ends. */
export interface StateLock {
  release(): void;
}

/**
 * Takes the state folder for this process, or returns null when another one has it. Two Workers on one folder start
 * happily and serve one session twice, so this comes before anything else.
 *
 * SQLite's own file lock: it is not inherited by children, works on every system, and needs no cleaning up after a
 * `kill -9`, unlike a pid file.
 */
export function lockState(stateFolder: string): StateLock | null {
  const database = new DatabaseSync(join(stateFolder, "lock"));
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/i.test(error.message)) return null;
    throw error;
  }
  return { release: () => database.close() };
}
