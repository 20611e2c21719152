import { auditStatement } from "./audit.ts";
import type { Actor } from "./audit.ts";
import type { Env } from "../base/env.ts";
import { SESSION_AGE, catalog } from "./catalog.ts";
import type { Page, PageRequest } from "./paging.ts";
import { readPage } from "./paging.ts";

/**
 * Index of sessions, for lists. It holds what a list is filtered by and nothing that changes while a session works:
 * status, usage and title are asked of the session itself, which alone knows them.
 */
export interface IndexedSession {
  readonly id: string;
  readonly account: string;
  readonly createdAt: number;
  readonly agentId: string | null;
}

/** Notes a new session. Called before the session is made: a row without a session is skipped by lists. */
export async function indexSession(
  env: Env,
  { id, account, createdAt, agentId }: IndexedSession,
  actor?: Actor,
): Promise<void> {
  const db = await catalog(env);
  const insert = db
    .prepare("INSERT OR IGNORE INTO sessions (id, account, created_at, agent_id) VALUES (?, ?, ?, ?)")
    .bind(id, account, createdAt, agentId);
  await db.batch([insert, ...(actor ? [auditStatement(db, actor, "session.create", id)] : [])]);
}

export async function archiveInIndex(env: Env, actor: Actor, id: string, archivedAt: number): Promise<void> {
  const db = await catalog(env);
  await db.batch([
    db.prepare("UPDATE sessions SET archived_at = ? WHERE id = ? AND archived_at IS NULL").bind(archivedAt, id),
    auditStatement(db, actor, "session.archive", id),
  ]);
}

/** Notes whether a session waits for somebody's answer. */
export async function markWaiting(env: Env, id: string, waits: boolean): Promise<void> {
  const db = await catalog(env);
  await db
    .prepare("UPDATE sessions SET waiting = ? WHERE id = ?")
    .bind(waits ? 1 : 0, id)
    .run();
}

/** Sessions of an account that wait for somebody, oldest first. The session itself says what for. */
export async function waitingSessionIds(env: Env, account: string): Promise<string[]> {
  const db = await catalog(env);
  const { results } = await db
    .prepare("SELECT id FROM sessions WHERE account = ? AND waiting = 1 ORDER BY id LIMIT 500")
    .bind(account)
    .all<{ id: string }>();
  return results.map((row) => row.id);
}

export async function removeFromIndex(env: Env, actor: Actor, id: string): Promise<void> {
  const db = await catalog(env);
  await db.batch([
    db.prepare("DELETE FROM sessions WHERE id = ?").bind(id),
    auditStatement(db, actor, "session.delete", id),
    db.prepare("DELETE FROM work WHERE session = ?").bind(id),
  ]);
}

export interface SessionFilter {
  readonly agentId?: string;
  readonly includeArchived: boolean;
  /** Conditions on the time of creation: `[">=", ms]`. */
  readonly created: readonly (readonly [">" | ">=" | "<" | "<=", number])[];
}

/** Ids of an account's sessions, newest first. */
export async function listSessionIds(
  env: Env,
  account: string,
  filter: SessionFilter,
  page: PageRequest,
): Promise<Page<string>> {
  const where = ["account = ?"];
  const values: (string | number)[] = [account];
  if (!filter.includeArchived) where.push("archived_at IS NULL");
  if (filter.agentId !== undefined) {
    where.push("agent_id = ?");
    values.push(filter.agentId);
  }
  for (const [operator, at] of filter.created) {
    where.push(`created_at ${operator} ?`);
    values.push(at);
  }
  const db = await catalog(env);
  return readPage<{ id: string; place: string }, string>(
    db,
    { select: `SELECT id, ${SESSION_AGE} AS place FROM sessions`, where, values, key: SESSION_AGE },
    page,
    (row) => row.place,
    (row) => row.id,
  );
}
