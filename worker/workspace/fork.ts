import type { Row, Sql } from "../storage/sql.ts";

/**
 * The rows of a fork: the original's log up to the end of a run, its runs and its threads. Rows are copied unchanged, in
 * parts, because a log may be long. Files and conversation are in the snapshot that both sessions share.
 */

/** Tables that are copied, and which of their rows; `?` is the last `seq` that is copied. */
const TABLES = {
  events: "seq <= ?",
  event_parts: "seq <= ?",
  runs: "state = 'ended' AND prompt_seq <= ?",
  threads: "created_at <= (SELECT at FROM events WHERE seq = ?)",
} as const;

type Table = keyof typeof TABLES;

const NAMES = Object.keys(TABLES) as Table[];

/** Most rows, and about how many characters, in one part: a call to an object returns at most 32 MB. */
const ROWS = 2_000;
const CHARS = 8 * 1024 * 1024;

/** Where the copying stands: the next part to request. */
export interface Cursor {
  /** Index of the table. */
  readonly table: number;
  /** Rows of it that are copied already. */
  readonly offset: number;
}

/** Rows of one table. */
export interface Part {
  readonly table: string;
  readonly rows: Row[];
  /** Null: this was the last part. */
  readonly next: Cursor | null;
}

/** Cursor of the first part. */
export const START: Cursor = { table: 0, offset: 0 };

/** Reads one part of a session's rows up to a `seq`. Throws for a cursor that no part returned. */
export function exportPart(sql: Sql, seq: number, { table: index, offset }: Cursor): Part {
  const table = NAMES[index];
  if (!table) throw new Error(`no table ${index}`);
  // In the order of the key, so that rows appended meanwhile do not move earlier ones.
  const order = table === "event_parts" ? "seq, part" : "1";
  const found = sql
    .exec(`SELECT * FROM ${table} WHERE ${TABLES[table]} ORDER BY ${order} LIMIT ${ROWS} OFFSET ${offset}`, seq)
    .toArray();
  let chars = 0;
  const rows = found.filter((row, at) => {
    chars += Object.values(row).reduce<number>((sum, value) => sum + (typeof value === "string" ? value.length : 8), 0);
    return at === 0 || chars <= CHARS;
  });
  const whole = rows.length === found.length && found.length < ROWS;
  const following = index + 1 < NAMES.length ? { table: index + 1, offset: 0 } : null;
  return { table, rows, next: whole ? following : { table: index, offset: offset + rows.length } };
}

/** Writes one part into the fork's tables. Inside a transaction. */
export function importPart(sql: Sql, { table, rows }: Part): void {
  for (const row of rows) {
    const columns = Object.keys(row);
    const marks = columns.map(() => "?").join(", ");
    sql.exec(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${marks})`, ...Object.values(row));
  }
}
