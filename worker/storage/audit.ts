import type { AuditEntry } from "@gantry/protocol/api/keys.ts";
import type { Env } from "../base/env.ts";
import { catalog, toIso } from "./catalog.ts";
import { readPage } from "./paging.ts";
import type { Page, PageRequest } from "./paging.ts";

/** The author of a change, for the audit log. */
export interface Actor {
  readonly account: string;
  /** Id of the API key; `admin` for the installation's own. */
  readonly keyId: string;
  readonly requestId: string;
}

/** Name of a change: `agent.create`, `key.revoke`. */
export type Action =
  | `${"agent" | "environment"}.${"create" | "update" | "archive" | "delete"}`
  | `file.${"create" | "delete"}`
  | `resource.${"create" | "update" | "delete"}`
  | `template.${"create" | "update" | "archive"}`
  | `key.${"create" | "revoke"}`
  | `${"vault" | "credential"}.${"create" | "update" | "archive" | "delete"}`
  | `session.${"create" | "update" | "archive" | "delete" | "message"}`
  | `work.${"update" | "stop"}`
  | `run.${"cancel" | "interrupt"}`
  | "approval.answer";

/** An entry for a change made outside the catalog, to be added afterwards. `at` is in milliseconds since 1970. */
export interface NewAuditEntry extends Actor {
  readonly at: number;
  readonly action: Action;
  readonly target: string;
}

/** Adds entries for changes made outside the catalog. Adding an entry again changes nothing. */
export async function addAuditEntries(env: Env, entries: readonly NewAuditEntry[]): Promise<void> {
  const db = await catalog(env);
  const statement = db.prepare(
    `INSERT INTO audit (at, account, key_id, action, target, request_id) SELECT ?1, ?2, ?3, ?4, ?5, ?6
      WHERE NOT EXISTS (SELECT 1 FROM audit WHERE request_id = ?6 AND action = ?4 AND target = ?5)`,
  );
  await db.batch(
    entries.map(({ at, account, keyId, action, target, requestId }) =>
      statement.bind(at, account, keyId, action, target, requestId),
    ),
  );
}

/** Logs a change made outside the catalog, at the current time. */
export async function noteChange(env: Env, actor: Actor, action: Action, target: string): Promise<void> {
  await (
    await catalog(env)
  )
    .prepare(`INSERT INTO audit (at, account, key_id, action, target, request_id) VALUES (?, ?, ?, ?, ?, ?)`)
    .bind(Date.now(), actor.account, actor.keyId, action, target, actor.requestId)
    .run();
}

/**
 * The statement that logs a change. It must directly follow the change in the same batch, so that both are stored or
 * neither is. A change that affected no row logs nothing. `account` owns the changed object.
 */
export function auditStatement(
  db: D1Database,
  actor: Actor,
  action: Action,
  target: string,
  account: string = actor.account,
): D1PreparedStatement {
  return db
    .prepare(
      `INSERT INTO audit (at, account, key_id, action, target, request_id) SELECT ?, ?, ?, ?, ?, ? WHERE changes() > 0`,
    )
    .bind(Date.now(), account, actor.keyId, action, target, actor.requestId);
}

/** Logs an agent's change outside the catalog, once even when the change is retried. */
export async function auditOnce(db: D1Database, actor: Actor, action: Action, target: string): Promise<void> {
  await db
    .prepare(
      `INSERT INTO audit (at, account, key_id, action, target, request_id) SELECT ?, ?, ?, ?, ?, ?
        WHERE NOT EXISTS (SELECT 1 FROM audit WHERE account = ? AND action = ? AND target = ? AND request_id = ?)`,
    )
    .bind(
      Date.now(),
      actor.account,
      actor.keyId,
      action,
      target,
      actor.requestId,
      actor.account,
      action,
      target,
      actor.requestId,
    )
    .run();
}

interface AuditRow {
  seq: number;
  at: number;
  account: string;
  key_id: string;
  action: string;
  target: string;
  request_id: string;
}

/** Changes made in an account, newest first. */
export async function listAudit(env: Env, account: string, request: PageRequest): Promise<Page<AuditEntry>> {
  const select = `SELECT seq, at, account, key_id, action, target, request_id FROM audit`;
  return readPage(
    await catalog(env),
    { select, where: ["account = ?"], values: [account], key: "seq" },
    request,
    (row: AuditRow) => row.seq,
    ({ seq, at, ...row }) => ({ type: "audit_entry" as const, id: String(seq), at: toIso(at), ...row }),
  );
}
