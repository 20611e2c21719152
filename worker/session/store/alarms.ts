import { numberOf } from "../../storage/sql.ts";
import type { Sql } from "../../storage/sql.ts";

/** The parts that share the alarm. Each has one time. */
export type Sleeper = "driver" | "snapshots" | "sandbox" | "keys";

/**
 * The object's one alarm, shared by several parts. Their times are stored, so that none is lost in a crash. When the
 * alarm fires, each part that is due runs and sets its next time.
 */
export class Alarms {
  readonly #sql: Sql;
  readonly #setAlarm: (at: number) => void;
  readonly #now: () => number;
  /** Time for which the alarm is set; null when unknown. */
  #armedAt: number | null = null;

  constructor(sql: Sql, setAlarm: (at: number) => void, now: () => number = Date.now) {
    this.#sql = sql;
    this.#setAlarm = setAlarm;
    this.#now = now;
  }

  /** The alarm has fired and is gone. */
  fired(): void {
    this.#armedAt = null;
  }

  /** Whether a part is due; `unset` is the answer for a part without a time. Sets the alarm for a part that is not due. */
  isDue(name: Sleeper, unset = false): boolean {
    const row = this.#sql.exec("SELECT at FROM alarms WHERE name = ?", name).toArray()[0];
    if (!row) return unset;
    const at = numberOf(row, "at");
    if (at > this.#now()) this.set(name, at);
    return at <= this.#now();
  }

  /** Sets or removes the time of a part. */
  set(name: Sleeper, at: number | null): void {
    if (at === null) this.#sql.exec("DELETE FROM alarms WHERE name = ?", name);
    else this.#sql.exec("INSERT OR REPLACE INTO alarms (name, at) VALUES (?, ?)", name, at);
    const first = numberOf(this.#sql.exec("SELECT MIN(at) AS at FROM alarms").toArray()[0], "at");
    // An alarm that fires too early finds nothing to do. To move it would cost a write on the path of a prompt.
    if (first === 0 || (this.#armedAt !== null && this.#armedAt > this.#now() && this.#armedAt <= first)) return;
    this.#armedAt = first;
    this.#setAlarm(first);
  }
}

/** The driver's alarm. When it is set already and comes soon enough it is not set again: each time is a write. */
export class ArmedAlarm {
  readonly #setAlarm: (at: number | null) => void;
  #at: number | null = null;

  constructor(setAlarm: (at: number | null) => void) {
    this.#setAlarm = setAlarm;
  }

  /** Makes the alarm come in `afterMs` at the latest. */
  arm(now: number, afterMs: number): void {
    if (this.#at !== null && this.#at > now) return;
    this.#at = now + afterMs;
    this.#setAlarm(this.#at);
  }

  /** The alarm has fired, and is gone. */
  fired(): void {
    this.#at = null;
  }

  /** The alarm is no longer needed. */
  disarm(): void {
    this.#at = null;
    this.#setAlarm(null);
  }
}
