import type { Row, Sql } from "../storage/sql.ts";

/**
 * A session that begins where another stood: its log up to a run's end, its runs and threads. Rows are taken over as
 * they are, in parts, because a log may be long. Files and conversation are in the snapshot that both then share.
 */

/** What is taken over, and the condition on it; `?` is the `seq` behind which the log is cut. */
const TABLES = {
  events: "seq <= ?",
  event_parts: "seq <= ?",
  runs: "state = 'ended' AND prompt_seq <= ?",
  threads: "created_at <= (SELECT at FROM events WHERE seq = ?)",
} as const;

type Table = keyof typeof TABLES;

const NAMES = Object.keys(TABLES) as Table[];

/** Rows of one answer, and about how many characters: one call of an object returns 32 MB at most. */
const ROWS = 2_000;
const CHARS = 8 * 1024 * 1024;

/** Where the taking over stands: the next part to ask for. */
export interface Place {
  readonly table: number;
  readonly offset: number;
}

export interface Part {
  readonly table: string;
  readonly rows: Row[];
  /** Null: this was the last. */
  readonly next: Place | null;
}

export const FIRST_PART: Place = { table: 0, offset: 0 };

/** A part of what a session that is cut behind `seq` hands over. */
export function exportPart(sql: Sql, seq: number, { table: index, offset }: Place): Part {
  const table = NAMES[index];
  if (!table) throw new Error(`no table ${index}`);
  // In the order of the key, so that what is appended meanwhile does not move what is there.
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

/** Puts a part where it belongs. Inside a transaction. */
export function importPart(sql: Sql, { table, rows }: Part): void {
  for (const row of rows) {
    const columns = Object.keys(row);
    const marks = columns.map(() => "?").join(", ");
    sql.exec(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${marks})`, ...Object.values(row));
  }
}
