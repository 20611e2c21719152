import { numberOf, textOf } from "../storage/sql.ts";
import type { Row, Sql } from "../storage/sql.ts";

/** A saved state of the session's files. */
export interface Snapshot {
  readonly id: string;
  /** Hash of its root. */
  readonly root: string;
  /** The run it was taken after or during; null for one that no run made. */
  readonly runId: string | null;
  /** `seq` of the last event before the snapshot. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly files: number;
  readonly bytes: number;
}

/** Where an object is stored. */
export interface ObjectLocation {
  /** Key of its pack in R2. */
  readonly pack: string;
  /** Id of the key that sealed the pack. */
  readonly keyId: string;
  readonly packBytes: number;
  /** Offset in the pack at which the sealed object begins. */
  readonly at: number;
  /** Bytes of the object without the seal. */
  readonly size: number;
}

/** A stored pack and the objects in it. */
export interface NewPack {
  readonly key: string;
  readonly keyId: string;
  readonly bytes: number;
  readonly objects: readonly { readonly hash: string; readonly at: number; readonly size: number }[];
}

/** The tables of a session's snapshots, packs and objects. */
export class SnapshotTables {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** The newest snapshot, or the newest taken at or before `seq`. */
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

  /** The newest snapshot from before the run that a snapshot belongs to. */
  before({ id, runId }: Snapshot): Snapshot | null {
    const begin = "SELECT MIN(place) FROM snapshots WHERE id = ? OR run_id = ?";
    const query = `SELECT * FROM snapshots WHERE place < (${begin}) ORDER BY place DESC LIMIT 1`;
    return toSnapshot(this.#sql.exec(query, id, runId).toArray()[0]);
  }

  /** A snapshot by its id. */
  get(id: string): Snapshot | null {
    return toSnapshot(this.#sql.exec("SELECT * FROM snapshots WHERE id = ?", id).toArray()[0]);
  }

  /** All kept snapshots, oldest first. */
  all(): Snapshot[] {
    return this.#sql
      .exec("SELECT * FROM snapshots ORDER BY place")
      .toArray()
      .flatMap((row) => toSnapshot(row) ?? []);
  }

  /** Adds a snapshot. Call when everything its root refers to is stored. */
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

  /** Removes a snapshot; its objects stay until garbage is collected. */
  remove(id: string): void {
    this.#sql.exec("DELETE FROM snapshots WHERE id = ?", id);
  }

  /** Whether an object is stored. */
  has(hash: string): boolean {
    return this.#sql.exec("SELECT 1 FROM objects WHERE hash = ?", hash).toArray().length > 0;
  }

  /** Where an object is stored; null when it is not. */
  locate(hash: string): ObjectLocation | null {
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

  /** Adds a stored pack. An object that is also in an older pack is now read from this one. Inside a transaction. */
  addPack(pack: NewPack): void {
    this.#sql.exec("INSERT INTO packs (key, key_id, bytes) VALUES (?, ?, ?)", pack.key, pack.keyId, pack.bytes);
    const id = numberOf(this.#sql.exec("SELECT id FROM packs WHERE key = ?", pack.key).toArray()[0], "id");
    for (const { hash, at, size } of pack.objects)
      this.#sql.exec("INSERT OR REPLACE INTO objects (hash, pack, at, size) VALUES (?, ?, ?, ?)", hash, id, at, size);
  }

  /** All packs, oldest first. */
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

  /** Forgets an object that no snapshot needs. */
  removeObject(hash: string): void {
    this.#sql.exec("DELETE FROM objects WHERE hash = ?", hash);
  }

  /** Forgets a pack whose objects have all moved or been removed. */
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
