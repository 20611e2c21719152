import { numberOf, textOf } from "../storage/sql.ts";
import type { Row, Sql } from "../storage/sql.ts";

/** A saved state of the session's files. */
export interface Snapshot {
  readonly id: string;
  /** Hash of its root. */
  readonly root: string;
  /** The run at (or in) which it was taken; null for one that was made otherwise. */
  readonly runId: string | null;
  /** `seq` of the last event before it was taken. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly files: number;
  readonly bytes: number;
}

/** Where an object lies. */
export interface Place {
  /** Key of its pack in R2. */
  readonly pack: string;
  /** Id of the key that sealed the pack. */
  readonly keyId: string;
  readonly packBytes: number;
  /** Where in the pack it begins, sealed. */
  readonly at: number;
  /** Its own bytes, without the seal. */
  readonly size: number;
}

/** A pack that is stored, with the objects in it. */
export interface NewPack {
  readonly key: string;
  readonly keyId: string;
  readonly bytes: number;
  readonly objects: readonly { readonly hash: string; readonly at: number; readonly size: number }[];
}

/** What a session knows of its snapshots. */
export class SnapshotTables {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The newest snapshot, or the newest that holds no event after `seq`. */
  latest(seq = Number.MAX_SAFE_INTEGER): Snapshot | null {
    return toSnapshot(
      this.#sql.exec("SELECT * FROM snapshots WHERE seq <= ? ORDER BY place DESC LIMIT 1", seq).toArray()[0],
    );
  }

  /** The newest snapshot of a run that has ended; null when the next run began before one was taken. */
  ofRun(runId: string): Snapshot | null {
    const ended = "SELECT seq FROM events WHERE run_id = ? AND type = 'run.ended'";
    const query = `SELECT * FROM snapshots WHERE run_id = ? AND seq >= (${ended}) ORDER BY place DESC LIMIT 1`;
    return toSnapshot(this.#sql.exec(query, runId, runId).toArray()[0]);
  }

  /** The newest from before the run that a snapshot is of. */
  before({ id, runId }: Snapshot): Snapshot | null {
    const begin = "SELECT MIN(place) FROM snapshots WHERE id = ? OR run_id = ?";
    const query = `SELECT * FROM snapshots WHERE place < (${begin}) ORDER BY place DESC LIMIT 1`;
    return toSnapshot(this.#sql.exec(query, id, runId).toArray()[0]);
  }

  get(id: string): Snapshot | null {
    return toSnapshot(this.#sql.exec("SELECT * FROM snapshots WHERE id = ?", id).toArray()[0]);
  }

  /** All that are kept, oldest first. */
  all(): Snapshot[] {
    return this.#sql
      .exec("SELECT * FROM snapshots ORDER BY place")
      .toArray()
      .flatMap((row) => toSnapshot(row) ?? []);
  }

  /** Call when everything below its root is stored. */
  add(snapshot: Snapshot): void {
    const { id, root, runId, seq, at, files, bytes } = snapshot;
    this.#sql.exec(
      "INSERT INTO snapshots (id, root, run_id, seq, at, files, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      root,
      runId,
      seq,
      at,
      files,
      bytes,
    );
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM snapshots WHERE id = ?", id);
  }

  has(hash: string): boolean {
    return this.#sql.exec("SELECT 1 FROM objects WHERE hash = ?", hash).toArray().length > 0;
  }

  place(hash: string): Place | null {
    const row = this.#sql
      .exec(
        "SELECT packs.key, packs.key_id, packs.bytes, objects.at, objects.size FROM objects JOIN packs ON packs.id = objects.pack WHERE hash = ?",
        hash,
      )
      .toArray()[0];
    return row
      ? {
          pack: textOf(row, "key"),
          keyId: textOf(row, "key_id"),
          packBytes: numberOf(row, "bytes"),
          at: numberOf(row, "at"),
          size: numberOf(row, "size"),
        }
      : null;
  }

  /** Inside a transaction. An object that is in another pack already is from now on in this one. */
  addPack(pack: NewPack): void {
    this.#sql.exec("INSERT INTO packs (key, key_id, bytes) VALUES (?, ?, ?)", pack.key, pack.keyId, pack.bytes);
    const id = numberOf(this.#sql.exec("SELECT id FROM packs WHERE key = ?", pack.key).toArray()[0], "id");
    for (const { hash, at, size } of pack.objects)
      this.#sql.exec("INSERT OR REPLACE INTO objects (hash, pack, at, size) VALUES (?, ?, ?, ?)", hash, id, at, size);
  }

  packs(): { id: number; key: string; keyId: string; bytes: number }[] {
    return this.#sql
      .exec("SELECT * FROM packs ORDER BY id")
      .toArray()
      .map((row) => ({
        id: numberOf(row, "id"),
        key: textOf(row, "key"),
        keyId: textOf(row, "key_id"),
        bytes: numberOf(row, "bytes"),
      }));
  }

  /** The objects of a pack. */
  objectsOf(pack: number): { hash: string; at: number; size: number }[] {
    return this.#sql
      .exec("SELECT hash, at, size FROM objects WHERE pack = ?", pack)
      .toArray()
      .map((row) => ({ hash: textOf(row, "hash"), at: numberOf(row, "at"), size: numberOf(row, "size") }));
  }

  removeObject(hash: string): void {
    this.#sql.exec("DELETE FROM objects WHERE hash = ?", hash);
  }

  /** Forgets a pack whose objects are all elsewhere, or gone. */
  removePack(id: number): void {
    this.#sql.exec("DELETE FROM packs WHERE id = ?", id);
  }
}

function toSnapshot(row: Row | undefined): Snapshot | null {
  if (!row) return null;
  return {
    id: textOf(row, "id"),
    root: textOf(row, "root"),
    runId: textOf(row, "run_id") || null,
    seq: numberOf(row, "seq"),
    at: numberOf(row, "at"),
    files: numberOf(row, "files"),
    bytes: numberOf(row, "bytes"),
  };
}
