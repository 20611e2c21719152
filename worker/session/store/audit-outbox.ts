import { addAuditEntries } from "../../storage/audit.ts";
import type { Action, Actor, NewAuditEntry } from "../../storage/audit.ts";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Sql } from "../../storage/sql.ts";

/**
 * Entries for the audit log that tell of changes in this session. Each is written in the turn of its change, so neither
 * is there without the other; the database hears of it afterwards, because it stays off the way of a prompt. What could
 * not be told is told when something else happens, or when the object wakes.
 */
export class AuditOutbox {
  readonly #sql: Sql;
  readonly #env: Env;
  readonly #waitUntil: (work: Promise<unknown>) => void;
  #telling = false;

  constructor(sql: Sql, env: Env, waitUntil: (work: Promise<unknown>) => void) {
    this.#sql = sql;
    this.#env = env;
    this.#waitUntil = waitUntil;
  }

  /** Notes a change if it was made. Returns what it was given. */
  note<T>(done: T, actor: Actor | undefined, action: Action, target: string): T {
    if (!done || actor === undefined) return done;
    const entry: NewAuditEntry = { ...actor, at: Date.now(), action, target };
    this.#sql.exec("INSERT INTO audit_outbox (entry) VALUES (?)", JSON.stringify(entry));
    this.tell();
    return done;
  }

  /** Tells all there is, before the session is forgotten. */
  async empty(): Promise<void> {
    const rows = this.#sql.exec("SELECT entry FROM audit_outbox ORDER BY id").toArray();
    if (rows.length === 0) return;
    const entries = rows.map((row) => JSON.parse(textOf(row, "entry")) as NewAuditEntry);
    await addAuditEntries(this.#env, entries).catch((error: unknown) =>
      report({ event: "audit_not_told", error: String(error) }),
    );
  }

  /** Tells the database what it has not heard, if there is anything. */
  tell(): void {
    if (this.#telling) return;
    const rows = this.#sql.exec("SELECT id, entry FROM audit_outbox ORDER BY id LIMIT 50").toArray();
    if (rows.length === 0) return;
    this.#telling = true;
    const last = numberOf(rows.at(-1), "id");
    const entries = rows.map((row) => JSON.parse(textOf(row, "entry")) as NewAuditEntry);
    this.#waitUntil(
      addAuditEntries(this.#env, entries).then(
        () => {
          this.#telling = false;
          this.#sql.exec("DELETE FROM audit_outbox WHERE id <= ?", last);
          this.tell();
        },
        (error: unknown) => {
          this.#telling = false;
          report({ event: "audit_not_told", error: String(error) });
        },
      ),
    );
  }
}
