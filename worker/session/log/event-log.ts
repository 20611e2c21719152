import type { SessionEvent, StoredEvent } from "@gantry/protocol/event.ts";
import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";
import type { NewEvent } from "./new-event.ts";
import { Totals } from "./totals.ts";

/** What a reader sees: all events, those of one thread by its id, or with null those of the primary thread. */
export type LogView = "all" | { readonly thread: string | null };

/**
 * Events that a thread's view leaves out unless a reader asks for them by type: upkeep of an idle session. Clients of
 * Managed Agents read any event after an idle event as the start of new work.
 */
const NO_UPKEEP = "type NOT IN ('workspace.snapshot', 'workspace.snapshot_failed')";

/** A piece of the log as text, ready for the wire. */
export interface LogPage {
  /** One JSON object per event, in order. */
  readonly lines: readonly string[];
  /** `seq` of the last event read; the cursor for the next page. */
  readonly last: number;
  /** Whether more events may be there already. */
  readonly more: boolean;
}

/** A query for a list of events. */
export interface LogQuery {
  readonly view: LogView;
  /** `seq` of the last event of the page before; null for the first page. */
  readonly cursor: number | null;
  readonly limit: number;
  readonly order: "asc" | "desc";
  readonly types: readonly string[] | null;
  readonly notTypes: readonly string[] | null;
  /** Conditions on the time, in milliseconds since 1970. */
  readonly created: readonly (readonly [">" | ">=" | "<" | "<=", number])[];
}

/** A run and the `seq` of its prompt. No event of a run comes before its prompt. */
export interface RunInLog {
  readonly id: string;
  readonly promptSeq: number;
}

/** The one terminal event of a run, as stored in the log. */
export type EndOfRun = Extract<StoredEvent, { type: "run.ended" }>;

/**
 * Longest text in one row: Cloudflare allows 2 MB in UTF-8, the local runtime more. Longer texts (a prompt of ten
 * megabytes) are stored in parts.
 */
const MAX_ROW_CHARS = 500_000;

/** Most readers are at the same few positions, so a page that one has read is kept for the others if it is small. */
const MAX_KEPT_CHARS = 200_000;
const MAX_KEPT_PAGES = 8;

/**
 * The session's event log. There is one way to read it: pull events after a cursor. Every stream and page uses it, so
 * there is no gap between replayed and live events, and a slow reader costs nothing.
 */
export class EventLog {
  readonly totals: Totals;
  readonly #sql: Sql;
  readonly #onAnnounce: () => void;
  #waiting: (() => void)[] = [];
  /** Pages of the current log. Cleared at each write. */
  readonly #kept = new Map<string, LogPage>();
  /** No event has a higher `seq`; null: unknown. It is too high after a transaction was rolled back. */
  #highest: number | null = null;

  /** @param onAnnounce called for readers that outlive the object and so cannot wait in a promise: hibernating sockets. */
  constructor(sql: Sql, onAnnounce: () => void = () => {}) {
    this.#sql = sql;
    this.totals = new Totals(sql);
    this.#onAnnounce = onAnnounce;
  }

  /** Writes events in order. Call it inside the transaction of the state change they report. Returns the last `seq`. */
  append(events: readonly NewEvent[]): number {
    this.totals.note(events);
    let seq = this.last();
    this.#kept.clear();
    for (const { id, runId, at, event, thread } of events) {
      seq += 1;
      const { type, ...payload } = event as SessionEvent & { id?: unknown; at?: unknown };
      delete payload.id;
      delete payload.at;
      const data = JSON.stringify(payload);
      const inRow = data.length <= MAX_ROW_CHARS ? data : "";
      this.#sql.exec(
        "INSERT INTO events (seq, id, run_id, type, at, data, thread) VALUES (?, ?, ?, ?, ?, ?, ?)",
        seq,
        id,
        runId,
        type,
        at,
        inRow,
        thread ?? null,
      );
      if (inRow === "") {
        for (const [part, piece] of inPieces(data).entries())
          this.#sql.exec("INSERT INTO event_parts (seq, part, data) VALUES (?, ?, ?)", seq, part, piece);
      }
    }
    this.#highest = seq;
    return seq;
  }

  /** Wakes readers. Call it after the transaction has ended. */
  announce(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
    this.#onAnnounce();
  }

  /** Time of the newest event in milliseconds since 1970; 0 when there is none. */
  lastAt(): number {
    return numberOf(this.#sql.exec("SELECT at FROM events ORDER BY seq DESC LIMIT 1").toArray()[0], "at");
  }

  /** `seq` of the newest event, 0 when there is none. */
  last(): number {
    return numberOf(this.#sql.exec("SELECT MAX(seq) AS seq FROM events").toArray()[0], "seq");
  }

  /**
   * Up to `limit` events after `seq`. Stops earlier at about two million characters, but returns at least one event.
   * Readers at the same `seq` get the same object, so that its frames can be made once for all of them.
   */
  after(seq: number, limit: number, view: LogView = "all"): LogPage {
    // A live reader is at the end of the log and looks once more before it waits.
    if (this.#highest !== null && seq >= this.#highest) return { lines: [], last: seq, more: false };
    const [which, values] = view === "all" ? ["", []] : [`AND thread IS ? AND ${NO_UPKEEP}`, [view.thread]];
    const key = `${seq} ${limit} ${which} ${values[0] ?? ""}`;
    const kept = this.#kept.get(key);
    if (kept) return kept;
    // With a bound limit SQLite would compile the statement each time.
    const rows = this.#sql
      .exec(`SELECT * FROM events WHERE seq > ? ${which} ORDER BY seq LIMIT ${Math.trunc(limit)}`, seq, ...values)
      .toArray();
    const read = this.#toPage(rows, seq);
    const page = { ...read, more: rows.length === limit || read.lines.length < rows.length };
    if (this.#kept.size >= MAX_KEPT_PAGES) this.#kept.clear();
    const isSmall = page.lines.reduce((chars, line) => chars + line.length, 0) <= MAX_KEPT_CHARS;
    if (isSmall) this.#kept.set(key, page);
    return page;
  }

  #toPage(rows: readonly Row[], seq: number): Omit<LogPage, "more"> {
    const lines: string[] = [];
    let last = seq;
    let chars = 0;
    for (const row of rows) {
      const line = toLine(row, textOf(row, "data") || this.#parts(numberOf(row, "seq")));
      lines.push(line);
      last = numberOf(row, "seq");
      chars += line.length;
      if (chars > 2_000_000) break;
    }
    return { lines, last };
  }

  /** A filtered page. Its cursor is the `seq` of its last event. */
  list({ view, cursor, limit, order, types, notTypes, created }: LogQuery): LogPage {
    const where: string[] = [];
    const values: (string | number | null)[] = [];
    const add = (condition: string, ...given: readonly (string | number | null)[]): void => {
      where.push(condition);
      values.push(...given);
    };
    if (cursor !== null) add(order === "asc" ? "seq > ?" : "seq < ?", cursor);
    if (view !== "all") add("thread IS ?", view.thread);
    if (view !== "all" && !types) add(NO_UPKEEP);
    if (types) add(`type IN (${types.map(() => "?").join(", ")})`, ...types);
    if (notTypes) add(`type NOT IN (${notTypes.map(() => "?").join(", ")})`, ...notTypes);
    for (const [operator, at] of created) add(`at ${operator} ?`, at);
    const rows = this.#sql
      .exec(
        `SELECT * FROM events ${where.length > 0 ? `WHERE ${where.join(" AND ")}` : ""} ORDER BY seq ${order} LIMIT ?`,
        ...values,
        limit + 1,
      )
      .toArray();
    const page = this.#toPage(rows.slice(0, limit), cursor ?? 0);
    return { ...page, more: page.lines.length < rows.length };
  }

  /** `seq` of the event with this id; null when there is none. */
  seqOf(id: string): number | null {
    const row = this.#sql.exec("SELECT seq FROM events WHERE id = ? ORDER BY seq DESC LIMIT 1", id).toArray()[0];
    return row ? numberOf(row, "seq") : null;
  }

  /** How a run ended; null while it has not ended. */
  endOf({ id, promptSeq }: RunInLog): EndOfRun | null {
    const row = this.#sql
      .exec("SELECT * FROM events WHERE seq > ? AND run_id = ? AND type = 'run.ended' LIMIT 1", promptSeq, id)
      .toArray()[0];
    return row ? (JSON.parse(toLine(row, this.payload(numberOf(row, "seq")))) as EndOfRun) : null;
  }

  /** Whether a tool has returned a result in a run after a `seq`. */
  workedAfter(runId: string, seq: number): boolean {
    const found = "type IN ('agent.tool_result', 'agent.mcp_tool_result')";
    return (
      this.#sql.exec(`SELECT 1 FROM events WHERE seq > ? AND run_id = ? AND ${found} LIMIT 1`, seq, runId).toArray()
        .length > 0
    );
  }

  /** Tokens of the model requests of one run. */
  usageOf({ id, promptSeq }: RunInLog): ModelUsage {
    const sum = (field: string): string => `COALESCE(SUM(json_extract(data, '$.model_usage.${field}')), 0) AS ${field}`;
    const fields = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"] as const;
    const row = this.#sql
      .exec(
        `SELECT ${fields.map(sum).join(", ")} FROM events WHERE type = 'span.model_request_end' AND seq > ? AND run_id = ?`,
        promptSeq,
        id,
      )
      .toArray()[0];
    const [input_tokens = 0, output_tokens = 0, cache_creation_input_tokens = 0, cache_read_input_tokens = 0] =
      fields.map((field) => numberOf(row, field));
    return { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens };
  }

  /** The payload of one event as JSON text. */
  payload(seq: number): string {
    const row = this.#sql.exec("SELECT data FROM events WHERE seq = ?", seq).toArray()[0];
    return textOf(row, "data") || this.#parts(seq);
  }

  /** The `seq` before the first event of a run, and the id of its prompt, which is among the first events. */
  beginOf(runId: string, promptSeq: number): { after: number; id: string } {
    const rows = this.#sql
      .exec(
        "SELECT seq, id FROM events WHERE run_id = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        runId,
        promptSeq - 10,
        promptSeq,
      )
      .toArray();
    return { after: numberOf(rows[0], "seq") - 1, id: textOf(rows.at(-1), "id") };
  }

  /** Resolves at the next announcement. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #parts(seq: number): string {
    const rows = this.#sql.exec("SELECT data FROM event_parts WHERE seq = ? ORDER BY part", seq).toArray();
    return rows.map((row) => textOf(row, "data")).join("");
  }
}

/** Splits a text into one piece per row. Surrogate pairs stay whole: half of one is not UTF-8, and SQLite replaces it. */
function inPieces(data: string): string[] {
  const pieces: string[] = [];
  for (let from = 0, to = 0; from < data.length; from = to) {
    to = from + MAX_ROW_CHARS;
    if (isFirstHalf(data.charCodeAt(to - 1))) to -= 1;
    pieces.push(data.slice(from, to));
  }
  return pieces;
}

function isFirstHalf(codeUnit: number): boolean {
  return codeUnit >= 0xd800 && codeUnit <= 0xdbff;
}

/** The head of a line: enough to filter and number it without parsing it. */
const HEADER = /^\{"type":"([^"]+)","id":(?:"(?:[^"\\]|\\.)*"),"seq":(\d+)/;

export function headerOf(line: string): { type: string; seq: number } {
  const found = HEADER.exec(line);
  return { type: found?.[1] ?? "", seq: Number(found?.[2] ?? 0) };
}

/** Header and payload are joined as text: to parse and serialise each event again would cost more than to read it. */
function toLine(row: Row, data: string): string {
  const runId = row["run_id"] === null ? "null" : JSON.stringify(row["run_id"]);
  const thread = typeof row["thread"] === "string" ? `,"thread_id":${JSON.stringify(row["thread"])}` : "";
  const header = `{"type":${JSON.stringify(row["type"])},"id":${JSON.stringify(row["id"])},"seq":${numberOf(row, "seq")},"run_id":${runId},"processed_at":"${new Date(numberOf(row, "at")).toISOString()}"${thread}`;
  return data === "{}" ? `${header}}` : `${header},${data.slice(1)}`;
}
