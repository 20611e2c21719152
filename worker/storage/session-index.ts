import { auditStatement } from "./audit.ts";
import type { Actor } from "./audit.ts";
import type { Env } from "../base/env.ts";
import { SESSION_AGE, catalog } from "./catalog.ts";
import type { Page, PageRequest } from "./paging.ts";
import { readPage } from "./paging.ts";

/**
 * An entry of the session index, which serves lists. The index holds only the fields that lists filter by. Status, usage
 * and title change while a session runs, so lists read them from the session itself.
 */
export interface IndexedSession {
  readonly id: string;
  readonly account: string;
  readonly createdAt: number;
  readonly agentId: string | null;
}

/** Adds a session to the index. Called before the session is created; lists skip a row without a session. */
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

/** Marks a session as archived and logs the change. `archivedAt` is in milliseconds since 1970. */
export async function archiveInIndex(env: Env, actor: Actor, id: string, archivedAt: number): Promise<void> {
  const db = await catalog(env);
  await db.batch([
    db.prepare("UPDATE sessions SET archived_at = ? WHERE id = ? AND archived_at IS NULL").bind(archivedAt, id),
    auditStatement(db, actor, "session.archive", id),
  ]);
}

/** Notes whether a session waits for an answer from a client. */
export async function markWaiting(env: Env, id: string, waits: boolean): Promise<void> {
  const db = await catalog(env);
  await db
    .prepare("UPDATE sessions SET waiting = ? WHERE id = ?")
    .bind(waits ? 1 : 0, id)
    .run();
}

/** Ids of an account's sessions that wait for an answer, oldest first; at most 500. Each session knows what it waits for. */
export async function waitingSessionIds(env: Env, account: string): Promise<string[]> {
  const db = await catalog(env);
  const { results } = await db
    .prepare("SELECT id FROM sessions WHERE account = ? AND waiting = 1 ORDER BY id LIMIT 500")
    .bind(account)
    .all<{ id: string }>();
  return results.map((row) => row.id);
}

/** Removes a deleted session and its work items, and logs the change. */
export async function removeFromIndex(env: Env, actor: Actor, id: string): Promise<void> {
  const db = await catalog(env);
  await db.batch([
    db.prepare("DELETE FROM sessions WHERE id = ?").bind(id),
    auditStatement(db, actor, "session.delete", id),
    db.prepare("DELETE FROM work WHERE session = ?").bind(id),
  ]);
}

/** Conditions on the sessions of a list. */
export interface SessionFilter {
  readonly agentId?: string;
  readonly includeArchived: boolean;
  /** Conditions on the creation time in milliseconds since 1970: `[">=", ms]`. */
  readonly created: readonly (readonly [">" | ">=" | "<" | "<=", number])[];
}

/** A page of the ids of an account's sessions, newest first unless the request asks for ascending order. */
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
  return readPage<{ id: string; age: string }, string>(
    db,
    { select: `SELECT id, ${SESSION_AGE} AS age FROM sessions`, where, values, key: SESSION_AGE },
    page,
    (row) => row.age,
    (row) => row.id,
  );
}
