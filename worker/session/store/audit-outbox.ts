import { addAuditEntries } from "../../storage/audit.ts";
import type { Action, Actor, NewAuditEntry } from "../../storage/audit.ts";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Sql } from "../../storage/sql.ts";

/**
 * Audit entries about changes in this session. Each is written together with its change, so that neither exists without
 * the other. They are copied to the database afterwards, because the database stays off the path of a prompt. Entries
 * that could not be copied are tried again at the next change, or when the object wakes.
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

  /** Records a change if it was made. Returns `done`. */
  note<T>(done: T, actor: Actor | undefined, action: Action, target: string): T {
    if (!done || actor === undefined) return done;
    const entry: NewAuditEntry = { ...actor, at: Date.now(), action, target };
    this.#sql.exec("INSERT INTO audit_outbox (entry) VALUES (?)", JSON.stringify(entry));
    this.tell();
    return done;
  }

  /** Copies all entries to the database before the session is deleted. */
  async empty(): Promise<void> {
    const rows = this.#sql.exec("SELECT entry FROM audit_outbox ORDER BY id").toArray();
    if (rows.length === 0) return;
    const entries = rows.map((row) => JSON.parse(textOf(row, "entry")) as NewAuditEntry);
    await addAuditEntries(this.#env, entries).catch((error: unknown) =>
      report({ event: "audit_not_told", error: String(error) }),
    );
  }

  /** Copies outstanding entries to the database, if there are any. */
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
