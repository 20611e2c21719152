import { numberOf } from "./sql.ts";
import type { Sql } from "./sql.ts";

/** Whoever wants to be woken: each has one time. */
export type Sleeper = "driver" | "snapshots" | "sandbox";

/**
 * The object's one alarm, shared. Times are stored, so that none forgets another's after a crash. When it fires, all
 * are asked, and each sets its next time.
 */
export class Alarms {
  readonly #sql: Sql;
  readonly #setAlarm: (at: number | null) => void;

  constructor(sql: Sql, setAlarm: (at: number | null) => void) {
    this.#sql = sql;
    this.#setAlarm = setAlarm;
  }

  /** Sets the time of one, or takes it away. */
  set(name: Sleeper, at: number | null): void {
    if (at === null) this.#sql.exec("DELETE FROM alarms WHERE name = ?", name);
    else this.#sql.exec("INSERT OR REPLACE INTO alarms (name, at) VALUES (?, ?)", name, at);
    const row = this.#sql.exec("SELECT MIN(at) AS at FROM alarms").toArray()[0];
    this.#setAlarm(numberOf(row, "at") || null);
  }
}
