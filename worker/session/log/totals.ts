import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { NewEvent } from "./new-event.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";

const TOKENS = [
  "input_tokens",
  "output_tokens",
  "cache_creation_input_tokens",
  "cache_read_input_tokens",
] as const satisfies readonly (keyof ModelUsage)[];

/** Events that change a sum. */
const COUNTED = ["span.model_request_end", "session.status_running", "session.status_idle"];

/**
 * Sums over the log, stored beside it, so that `facts` need not read a long log again. They change in the transaction of
 * their events; a session of an earlier version computes them from its log once.
 */
export class Totals {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Adds events that are about to be written. Call it inside their transaction. */
  note(events: readonly Pick<NewEvent, "at" | "event">[]): void {
    const counted = events.filter(({ event }) => COUNTED.includes(event.type));
    if (counted.length === 0) return;
    this.#begin();
    for (const { at, event } of counted) {
      if (event.type === "span.model_request_end") for (const name of TOKENS) this.#add(name, event.model_usage[name]);
      else this.#becomes(event.type === "session.status_running", at);
    }
  }

  /** Tokens of all model requests in the log. */
  usage(): ModelUsage {
    this.#begin();
    const sums = TOKENS.map((name) => [name, this.#get(name)] as const);
    return Object.fromEntries(sums) as unknown as ModelUsage;
  }

  /** Milliseconds in which the session was `running`, up to now. Time spent waiting for an answer does not count. */
  activeMs(now: number): number {
    this.#begin();
    const since = this.#get("running_since");
    return this.#get("active_ms") + (since === 0 ? 0 : Math.max(0, now - since));
  }

  #becomes(running: boolean, at: number): void {
    const since = this.#get("running_since");
    if (since !== 0 && !running) this.#add("active_ms", Math.max(0, at - since));
    if (!running) this.#set("running_since", 0);
    else if (since === 0) this.#set("running_since", at);
  }

  /** Computes the sums from the log, the first time. */
  #begin(): void {
    if (this.#sql.exec("SELECT 1 FROM totals LIMIT 1").toArray().length > 0) return;
    for (const name of [...TOKENS, "active_ms", "running_since"])
      this.#sql.exec("INSERT INTO totals (name, value) VALUES (?, 0)", name);
    const marks = COUNTED.map(() => "?").join(", ");
    const rows = this.#sql
      .exec(`SELECT type, at, data FROM events WHERE type IN (${marks}) ORDER BY seq`, ...COUNTED)
      .toArray();
    this.note(rows.map(toEvent));
  }

  #get(name: string): number {
    return numberOf(this.#sql.exec("SELECT value FROM totals WHERE name = ?", name).toArray()[0], "value");
  }

  #set(name: string, value: number): void {
    this.#sql.exec("UPDATE totals SET value = ? WHERE name = ?", value, name);
  }

  #add(name: string, value: number): void {
    if (value !== 0) this.#sql.exec("UPDATE totals SET value = value + ? WHERE name = ?", value, name);
  }
}

function toEvent(row: Row): Pick<NewEvent, "at" | "event"> {
  const event = { type: row["type"], ...(JSON.parse(textOf(row, "data")) as object) } as NewEvent["event"];
  return { at: numberOf(row, "at"), event };
}
