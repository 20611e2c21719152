import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";

/**
 * State of a run.
 * - `queued`: accepted and stored by `submit`. It leaves by `start` when the run before it has ended, or by `end` when it
 *   is cancelled. A crash changes nothing.
 * - `running`: the one run in progress. It leaves by `end`, once, or by `park`. After a crash it is still `running`, and
 *   the driver finds out from the runner whether it continues or is lost.
 * - `parked`: still the one run in progress, but it waits for an answer and no runner holds it: there is no engine, no
 *   link and no alarm. `park` puts it here when the runner has let go of it or is gone. It leaves by `unpark` when
 *   everything it asked is answered, or by `end` when a client stops it. A crash changes nothing.
 * - `ended`: final.
 */
export type RunState = "queued" | "running" | "parked" | "ended";

export interface Run {
  readonly id: string;
  readonly state: RunState;
  readonly options: RunOptions;
  /** `seq` of the `user.message` that holds its prompt. */
  readonly promptSeq: number;
  /** The runner it was sent to; null before. It decides what a crash means. */
  readonly sentTo: string | null;
  readonly interruptRequested: boolean;
  /** Whether an engine has had the prompt and was ended since: the run is continued, never started again. */
  readonly wasParked: boolean;
}

/** A run as lists show it. */
export interface ListedRun {
  readonly id: string;
  /** Its number in the order of acceptance: the cursor of lists. */
  readonly order: number;
  /** A parked run is shown as running: the session says what it waits for. */
  readonly state: Exclude<RunState, "parked">;
  readonly trigger: string;
  readonly model: string;
  /** How many queued runs are ahead of it; null unless it is queued. */
  readonly position: number | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** `seq` of the `user.message` that holds its prompt. */
  readonly promptSeq: number;
}

/** Maximum number of prompts that may wait in one session. */
export const MAX_QUEUED = 100;

/** First in, first out, one at a time. Everything is in SQLite; nothing is kept in memory. */
export class RunQueue {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add(run: { id: string; trigger: string; options: RunOptions; promptSeq: number; now: number }): void {
    this.#sql.exec(
      "INSERT INTO runs (id, state, trigger, options, prompt_seq, created_at) VALUES (?, 'queued', ?, ?, ?, ?)",
      run.id,
      run.trigger,
      JSON.stringify(run.options),
      run.promptSeq,
      run.now,
    );
  }

  /** The one run in progress; it may be parked. */
  running(): Run | null {
    return toRun(this.#sql.exec("SELECT * FROM runs WHERE state IN ('running', 'parked')").toArray()[0]);
  }

  next(): Run | null {
    return toRun(this.#sql.exec("SELECT * FROM runs WHERE state = 'queued' ORDER BY place LIMIT 1").toArray()[0]);
  }

  get(id: string): Run | null {
    return toRun(this.#sql.exec("SELECT * FROM runs WHERE id = ?", id).toArray()[0]);
  }

  /** Model of the newest run, which the session keeps using; null before the first. */
  lastModel(): string | null {
    return this.lastOptions()?.model ?? null;
  }

  /** Options of the newest run; null before the first. */
  lastOptions(): RunOptions | null {
    const row = this.#sql.exec("SELECT options FROM runs ORDER BY place DESC LIMIT 1").toArray()[0];
    return row ? (JSON.parse(textOf(row, "options")) as RunOptions) : null;
  }

  /** How many runs there have ever been. */
  count(): number {
    return numberOf(this.#sql.exec("SELECT COUNT(*) AS n FROM runs").toArray()[0], "n");
  }

  /** Runs after a position in the order of acceptance, oldest first. */
  list(after: number, limit: number): ListedRun[] {
    return this.#listed(
      this.#sql.exec("SELECT * FROM runs WHERE place > ? ORDER BY place LIMIT ?", after, limit).toArray(),
    );
  }

  /** One run as lists show it. */
  listed(id: string): ListedRun | null {
    return this.#listed(this.#sql.exec("SELECT * FROM runs WHERE id = ?", id).toArray())[0] ?? null;
  }

  #listed(rows: Row[]): ListedRun[] {
    const firstQueued = this.next();
    const before = firstQueued
      ? numberOf(this.#sql.exec("SELECT place FROM runs WHERE id = ?", firstQueued.id).toArray()[0], "place")
      : 0;
    return rows.map((row) => ({
      id: textOf(row, "id"),
      order: numberOf(row, "place"),
      state: textOf(row, "state") === "parked" ? "running" : (textOf(row, "state") as ListedRun["state"]),
      trigger: textOf(row, "trigger"),
      model: (JSON.parse(textOf(row, "options")) as RunOptions).model,
      position: textOf(row, "state") === "queued" ? this.#queuedBetween(before, numberOf(row, "place")) : null,
      createdAt: numberOf(row, "created_at"),
      startedAt: numberOf(row, "started_at") || null,
      endedAt: numberOf(row, "ended_at") || null,
      promptSeq: numberOf(row, "prompt_seq"),
    }));
  }

  #queuedBetween(from: number, to: number): number {
    const rows = this.#sql.exec(
      "SELECT COUNT(*) AS n FROM runs WHERE state = 'queued' AND place >= ? AND place < ?",
      from,
      to,
    );
    return numberOf(rows.toArray()[0], "n");
  }

  /** How many runs wait. */
  queued(): number {
    return numberOf(this.#sql.exec("SELECT COUNT(*) AS n FROM runs WHERE state = 'queued'").toArray()[0], "n");
  }

  /** The session's status as the log last reported it. */
  status(): "idle" | "running" {
    return this.#sql.exec("SELECT status FROM session").toArray()[0]?.["status"] === "running" ? "running" : "idle";
  }

  setStatus(status: "idle" | "running"): void {
    this.#sql.exec("UPDATE session SET status = ?", status);
  }

  start(id: string, now: number): void {
    this.#sql.exec("UPDATE runs SET state = 'running', started_at = ? WHERE id = ? AND state = 'queued'", now, id);
  }

  /**
   * Must be stored before the start is sent: from then on a lost runner means a lost run, never a second start.
   * Null undoes it when the runner reports that it did not take the run.
   */
  sent(id: string, runnerId: string | null): void {
    this.#sql.exec("UPDATE runs SET sent_to = ? WHERE id = ?", runnerId, id);
  }

  /** Parks the run in progress: it waits, and no runner holds it. */
  park(id: string, now: number): void {
    this.#sql.exec("UPDATE runs SET state = 'parked', parked_at = ?, sent_to = NULL WHERE id = ?", now, id);
  }

  /** Unparks a run: it can be sent to a runner. */
  unpark(id: string): void {
    this.#sql.exec("UPDATE runs SET state = 'running' WHERE id = ? AND state = 'parked'", id);
  }

  requestInterrupt(id: string, now: number): void {
    this.#sql.exec("UPDATE runs SET interrupt_at = ? WHERE id = ?", now, id);
  }

  end(id: string, now: number): void {
    this.#sql.exec("UPDATE runs SET state = 'ended', ended_at = ? WHERE id = ?", now, id);
  }
}

function toRun(row: Row | undefined): Run | null {
  if (!row) return null;
  return {
    id: textOf(row, "id"),
    state: textOf(row, "state") as RunState,
    options: JSON.parse(textOf(row, "options")) as RunOptions,
    promptSeq: numberOf(row, "prompt_seq"),
    sentTo: textOf(row, "sent_to") || null,
    interruptRequested: row["interrupt_at"] !== null,
    wasParked: row["parked_at"] !== null,
  };
}
