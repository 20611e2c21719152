import { numberOf, textOf } from "../storage/sql.ts";
import type { Sql } from "../storage/sql.ts";

/** Most text kept per session. A runner that sends more is broken or hostile, and snapshots hold the text anyway. */
const MAX_BYTES = 128 * 1024 * 1024;
const MAX_FILES = 500;

/** A stored piece of a transcript. */
export interface Piece {
  readonly file: string;
  /** Offset in the file, in bytes. */
  readonly at: number;
  readonly bytes: number;
  readonly data: string;
}

/**
 * Mirrors what the engine has added to its transcripts since the last snapshot, so that no conversation is lost when a
 * sandbox is lost in the middle of a run.
 */
export class Transcripts {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Stores a piece. Ignores one that does not follow the stored end: the runner sends again from there by itself. */
  store(piece: { file: string; at: number; data: string }): void {
    const bytes = new TextEncoder().encode(piece.data).length;
    const end = this.#end(piece.file);
    if (piece.at === 0 && end !== null) this.#sql.exec("DELETE FROM transcripts WHERE file = ?", piece.file);
    else if (end !== null && piece.at !== end) return;
    const held = this.#sql
      .exec("SELECT SUM(bytes) AS bytes, COUNT(DISTINCT file) AS files FROM transcripts")
      .toArray()[0];
    if (numberOf(held, "bytes") + bytes > MAX_BYTES || numberOf(held, "files") > MAX_FILES) return;
    this.#sql.exec(
      "INSERT OR REPLACE INTO transcripts (file, at, bytes, data) VALUES (?, ?, ?, ?)",
      piece.file,
      piece.at,
      bytes,
      piece.data,
    );
  }

  /** Length in bytes up to which each file is mirrored, as a `hello` reports it. */
  ends(): Record<string, number> {
    const rows = this.#sql.exec("SELECT file, MAX(at + bytes) AS bytes FROM transcripts GROUP BY file").toArray();
    return Object.fromEntries(rows.map((row) => [textOf(row, "file"), numberOf(row, "bytes")]));
  }

  /** Drops what a snapshot contains: `saved` has the length of each file in it. Inside a transaction. */
  prune(saved: readonly { file: string; size: number }[]): void {
    for (const { file, size } of saved)
      this.#sql.exec(
        "DELETE FROM transcripts WHERE file = ? AND at + bytes <= ? AND at + bytes < (SELECT MAX(at + bytes) FROM transcripts WHERE file = ?)",
        file,
        size,
        file,
      );
  }

  /** Cuts off unfinished last lines: the files are about to be restored, and the engine appends to them. */
  cutTornLines(): void {
    for (const file of Object.keys(this.ends())) {
      for (;;) {
        const row = this.#sql
          .exec("SELECT at, data FROM transcripts WHERE file = ? ORDER BY at DESC LIMIT 1", file)
          .toArray()[0];
        if (!row) break;
        const whole = textOf(row, "data");
        const kept = whole.slice(0, whole.lastIndexOf("\n") + 1);
        const at = numberOf(row, "at");
        if (kept === whole) break;
        if (kept === "") this.#sql.exec("DELETE FROM transcripts WHERE file = ? AND at = ?", file, at);
        else
          this.#sql.exec(
            "UPDATE transcripts SET data = ?, bytes = ? WHERE file = ? AND at = ?",
            kept,
            new TextEncoder().encode(kept).length,
            file,
            at,
          );
        if (kept !== "") break;
      }
    }
  }

  /** Drops everything: the session continues from a state that these lines do not belong to. */
  forget(): void {
    this.#sql.exec("DELETE FROM transcripts");
  }

  /** Whether nothing is stored. */
  get empty(): boolean {
    return this.#sql.exec("SELECT 1 FROM transcripts LIMIT 1").toArray().length === 0;
  }

  /** All pieces, by file and offset. */
  *pieces(): Generator<Piece> {
    for (let file = "", at = -1; ;) {
      const row = this.#sql
        .exec("SELECT * FROM transcripts WHERE (file, at) > (?, ?) ORDER BY file, at LIMIT 1", file, at)
        .toArray()[0];
      if (!row) return;
      file = textOf(row, "file");
      at = numberOf(row, "at");
      yield { file, at, bytes: numberOf(row, "bytes"), data: textOf(row, "data") };
    }
  }

  #end(file: string): number | null {
    return this.ends()[file] ?? null;
  }
}
