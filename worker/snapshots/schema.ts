import type { Sql } from "../storage/sql.ts";

/** Creates the tables of one session's snapshots; see docs/internals/storage.md. Snapshots are ordered by `place`. */
export function createSnapshotTables(sql: Sql): void {
  sql.exec(`CREATE TABLE IF NOT EXISTS snapshots (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, root TEXT NOT NULL, run_id TEXT, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    files INTEGER NOT NULL, bytes INTEGER NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS packs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, key_id TEXT NOT NULL, bytes INTEGER NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS objects (
    hash TEXT PRIMARY KEY, pack INTEGER NOT NULL, at INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID`);
  sql.exec(`CREATE TABLE IF NOT EXISTS transcripts (
    file TEXT NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (file, at)) WITHOUT ROWID`);
}
