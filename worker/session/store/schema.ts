import { createSnapshotTables } from "../../snapshots/schema.ts";
import { textOf } from "../../storage/sql.ts";
import type { Sql } from "../../storage/sql.ts";

/** Version of the tables. Raise it with every change below: a session that has it skips thirty statements on waking. */
export const SCHEMA = 1;

/** Tables of one session. docs/internals/storage.md explains every table and column. */
export function createTables(sql: Sql): void {
  sql.exec(`CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, engine_session_id TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'idle',
    epoch INTEGER NOT NULL DEFAULT 0, runner_id TEXT, frame INTEGER NOT NULL DEFAULT 0, token TEXT)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS runs (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, trigger TEXT NOT NULL, options TEXT NOT NULL,
    prompt_seq INTEGER NOT NULL, sent_to TEXT, interrupt_at INTEGER, created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER)`);
  sql.exec(`CREATE INDEX IF NOT EXISTS runs_by_state ON runs (state, place)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, run_id TEXT, type TEXT NOT NULL, at INTEGER NOT NULL, data TEXT NOT NULL)`);
  sql.exec(
    `CREATE TABLE IF NOT EXISTS event_parts (seq INTEGER NOT NULL, part INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (seq, part))`,
  );
  sql.exec(`CREATE TABLE IF NOT EXISTS waiting (
    tool_use_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, kind TEXT NOT NULL, tool TEXT NOT NULL, input TEXT NOT NULL, asked_at INTEGER NOT NULL, answer TEXT)`);
  // Columns of later versions: null in older rows.
  addColumn(sql, "waiting", "call", "TEXT");
  addColumn(sql, "waiting", "sent_to", "TEXT");
  addColumn(sql, "runs", "parked_at", "INTEGER");
  addColumn(sql, "events", "thread", "TEXT");
  sql.exec(`CREATE INDEX IF NOT EXISTS events_by_thread ON events (thread, seq)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS threads (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, agent_name TEXT NOT NULL, task_id TEXT, peer TEXT,
    status TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER, running_since INTEGER,
    active_ms INTEGER NOT NULL DEFAULT 0)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS thread_usage (
    task_id TEXT PRIMARY KEY, input INTEGER NOT NULL, output INTEGER NOT NULL, cache_creation INTEGER NOT NULL, cache_read INTEGER NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS peer_calls (
    tool_use_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, tool TEXT NOT NULL, input TEXT NOT NULL, target TEXT NOT NULL, target_run TEXT NOT NULL,
    state TEXT NOT NULL, answer TEXT)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS audit_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS triage (run_id TEXT PRIMARY KEY, context TEXT)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS resources (
    id TEXT PRIMARY KEY, mount TEXT NOT NULL, secret TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)`);
  sql.exec(`CREATE TABLE IF NOT EXISTS alarms (name TEXT PRIMARY KEY, at INTEGER NOT NULL)`);
  createSnapshotTables(sql);
  sql.exec("INSERT OR REPLACE INTO settings (key, value) VALUES ('schema', ?)", String(SCHEMA));
}

/** Adds the tables and columns that a session of an earlier version lacks. */
export function bringUpToDate(sql: Sql): void {
  const hasSettings = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'settings'").toArray().length > 0;
  const row = hasSettings ? sql.exec("SELECT value FROM settings WHERE key = 'schema'").toArray()[0] : undefined;
  if (Number(textOf(row, "value")) !== SCHEMA) createTables(sql);
}

/** Adds a column if the table lacks it. */
function addColumn(sql: Sql, table: string, column: string, type: string): void {
  const columns = sql.exec(`PRAGMA table_info(${table})`).toArray();
  if (!columns.some((row) => row["name"] === column)) sql.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
}

/** Whether the session was ever created. It only reads, so asking for an unknown id leaves nothing behind. */
export function tablesExist(sql: Sql): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'session'").toArray().length > 0;
}
