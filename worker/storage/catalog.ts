import type { Env } from "../base/env.ts";
import { bounded } from "../base/bounded.ts";

/**
 * SQL expression that orders sessions by creation. Ids alone would not do: a session may take over the id of an engine
 * that was started earlier.
 */
export const SESSION_AGE = "(printf('%015d_', created_at) || id)";

/**
 * The tables of the catalog, which holds everything that does not belong to a single session. An installation has one D1
 * database; docs/internals/storage.md explains every table and column. Times are milliseconds since 1970. Ids sort by age, so lists
 * are ordered by id; lists of sessions are ordered by `SESSION_AGE`.
 */
const SCHEMA = [
  `CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL, scopes TEXT NOT NULL, created_at INTEGER NOT NULL,
    expires_at INTEGER, last_used_at INTEGER, revoked_at INTEGER)`,
  `CREATE INDEX IF NOT EXISTS keys_by_account ON keys (account, id)`,
  `CREATE TABLE IF NOT EXISTS agents (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, version INTEGER NOT NULL, created_at INTEGER NOT NULL, archived_at INTEGER)`,
  `CREATE INDEX IF NOT EXISTS agents_by_account ON agents (account, id)`,
  `CREATE TABLE IF NOT EXISTS agent_versions (
    agent_id TEXT NOT NULL, version INTEGER NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (agent_id, version))`,
  `CREATE TABLE IF NOT EXISTS environments (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER, body TEXT NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS environments_by_account ON environments (account, id)`,
  `CREATE TABLE IF NOT EXISTS work (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, environment_id TEXT NOT NULL, session TEXT NOT NULL, state TEXT NOT NULL, metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL, available_at INTEGER NOT NULL, polled_at INTEGER, acknowledged_at INTEGER, started_at INTEGER,
    heartbeat_at INTEGER, lease_until INTEGER NOT NULL DEFAULT 0, ttl_ms INTEGER NOT NULL, stop_requested_at INTEGER, stopped_at INTEGER,
    token_hash TEXT)`,
  `CREATE INDEX IF NOT EXISTS work_by_environment ON work (environment_id, id)`,
  `CREATE INDEX IF NOT EXISTS work_to_do ON work (environment_id, id) WHERE state <> 'stopped'`,
  `CREATE INDEX IF NOT EXISTS work_by_session ON work (session)`,
  `CREATE TABLE IF NOT EXISTS work_polls (
    environment_id TEXT NOT NULL, worker TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (environment_id, worker)) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS templates (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER, body TEXT NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS templates_by_account ON templates (account, id)`,
  `CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, state TEXT NOT NULL, filename TEXT NOT NULL, mime_type TEXT NOT NULL, size INTEGER NOT NULL,
    sha256 TEXT NOT NULL, scope_id TEXT, created_at INTEGER NOT NULL, expires_at INTEGER)`,
  `CREATE INDEX IF NOT EXISTS files_by_account ON files (account, id)`,
  `CREATE INDEX IF NOT EXISTS files_not_ready ON files (created_at) WHERE state <> 'ready'`,
  `CREATE INDEX IF NOT EXISTS files_by_end ON files (expires_at) WHERE expires_at IS NOT NULL`,
  `CREATE TABLE IF NOT EXISTS vaults (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER, body TEXT NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS vaults_by_account ON vaults (account, id)`,
  `CREATE TABLE IF NOT EXISTS credentials (
    id TEXT PRIMARY KEY, vault_id TEXT NOT NULL, account TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    archived_at INTEGER, server_url TEXT NOT NULL, body TEXT NOT NULL, sealed TEXT NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS credentials_by_vault ON credentials (vault_id, id)`,
  `CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, account TEXT NOT NULL, key_id TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, request_id TEXT NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS audit_by_account ON audit (account, seq)`,
  `CREATE INDEX IF NOT EXISTS audit_by_request ON audit (request_id)`,
  `CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, agent_id TEXT, archived_at INTEGER,
    waiting INTEGER NOT NULL DEFAULT 0)`,
  `CREATE INDEX IF NOT EXISTS sessions_by_account ON sessions (account, id)`,
  `CREATE INDEX IF NOT EXISTS sessions_by_age ON sessions (account, ${SESSION_AGE})`,
  `CREATE TABLE IF NOT EXISTS packs (key TEXT NOT NULL, session TEXT NOT NULL, PRIMARY KEY (key, session)) WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS packs_by_session ON packs (session)`,
  `CREATE TABLE IF NOT EXISTS packs_to_remove (key TEXT PRIMARY KEY)`,
];

const COLUMNS_OF_KEYS = "PRAGMA table_info(keys)";

/** The database whose tables this isolate knows to exist. */
let made: D1Database | null = null;

/**
 * The catalog's database, with its tables created and every call limited in time (see `bounded`). The first requests
 * create the tables, on one machine as in the cloud; after a failure the next request tries again. Nothing here keeps a
 * promise between requests: when its request or object is gone (a full disk resets a session), a promise never settles,
 * and every request that awaits it hangs.
 */
export async function catalog(env: Env): Promise<D1Database> {
  const db = bounded(env.DB);
  if (made === env.DB) return db;
  const answers = await db.batch<{ name: string }>(
    [...SCHEMA, COLUMNS_OF_KEYS].map((statement) => db.prepare(statement)),
  );
  const columns = answers.at(-1)?.results ?? [];
  // A column of a later version: null in older rows.
  if (columns.length > 0 && !columns.some(({ name }) => name === "created_by"))
    await addColumn(db, "ALTER TABLE keys ADD COLUMN created_by TEXT");
  made = env.DB;
  return db;
}

/** Adds a column. Another isolate may do the same at this moment. */
async function addColumn(db: D1Database, statement: string): Promise<void> {
  try {
    await db.prepare(statement).run();
  } catch (error) {
    if (!String(error).includes("duplicate column name")) throw error;
  }
}

/** Milliseconds since 1970 as an ISO 8601 time; null stays null. */
export function toIso(ms: number): string;
export function toIso(ms: number | null): string | null;
export function toIso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
