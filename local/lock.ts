import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";

/** A lock held until `release` or until the process ends, however it ends. */
export interface StateLock {
  release(): void;
}

/**
 * Locks the state folder for this process; null if another process holds it. Two Workers on one folder would start without
 * complaint and serve the same session twice, so the launcher locks before it does anything else.
 *
 * It is SQLite's file lock: children do not inherit it, it works on every system, and unlike a pid file it needs no cleaning
 * up after `kill -9`.
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
