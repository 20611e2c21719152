import type { Transaction } from "../storage/sql.ts";
import type { KeyRing } from "./keys.ts";
import { PackWriter } from "./packs.ts";
import type { PackStore } from "./packs.ts";
import type { SnapshotReader } from "./reader.ts";
import type { SnapshotTables } from "./tables.ts";

/** A pack is rewritten when less than this share of it is still needed. */
const WORTH_KEEPING = 0.4;

/** Packs smaller than this are merged, so that a session of a thousand runs does not have a thousand packs. */
const SMALL_BYTES = 1024 * 1024;

/** Most bytes rewritten in one collection. */
const MOVE_BYTES = 64 * 1024 * 1024;

/** What a collection works on. */
export interface GcDeps {
  readonly tables: SnapshotTables;
  readonly transaction: Transaction;
  readonly store: PackStore;
  readonly keys: KeyRing;
  readonly reader: SnapshotReader;
  readonly prefix: string;
  /** Number of snapshots that are kept. */
  readonly keep: number;
}

/**
 * Forgets old snapshots and removes what no kept snapshot needs: unneeded packs at once, and mostly unneeded packs after
 * their needed objects are copied to a new one. Objects sealed with an old key are sealed again with the current key.
 *
 * Nothing may be saved meanwhile. At every moment, everything the tables list is stored: a new pack is listed before
 * an old one is forgotten, and an old one is forgotten before it is removed.
 * Returns the number of packs removed and of bytes copied. Throws what the store, the keys or the reader throw.
 */
export async function collectGarbage(deps: GcDeps): Promise<{ removed: number; moved: number }> {
  const { tables, transaction, store, keys, reader, prefix, keep } = deps;
  const known = new Set(tables.packs().map((pack) => pack.key));
  // Packs of a save that died before it listed them.
  const orphans = (await store.held()).filter((pack) => !known.has(pack));
  transaction(() => {
    for (const { id } of tables.all().slice(0, -keep)) tables.remove(id);
  });
  const live = await needed(tables, reader);
  const gone: string[] = [...orphans];
  let moved = 0;
  const writer = new PackWriter(store, keys, prefix, (pack) => transaction(() => tables.addPack(pack)));
  const emptied: { id: number; key: string }[] = [];
  const small = tables.packs().filter((pack) => pack.bytes < SMALL_BYTES).length;
  for (const pack of tables.packs()) {
    const objects = tables.objectsOf(pack.id);
    const kept = objects.filter(({ hash }) => live.has(hash));
    const bytes = kept.reduce((sum, { size }) => sum + size, 0);
    transaction(() => {
      for (const { hash } of objects) if (!live.has(hash)) tables.removeObject(hash);
    });
    const rewrites =
      bytes < pack.bytes * WORTH_KEEPING || pack.keyId !== keys.current || (small > 8 && pack.bytes < SMALL_BYTES);
    if (kept.length > 0 && (!rewrites || moved + bytes > MOVE_BYTES)) continue;
    for (const { hash } of kept) await writer.add(hash, await reader.object(hash, true));
    moved += bytes;
    emptied.push(pack);
  }
  await writer.flush();
  transaction(() => {
    for (const { id } of emptied) tables.removePack(id);
  });
  gone.push(...emptied.map((pack) => pack.key));
  await store.release(gone);
  return { removed: gone.length, moved };
}

/** Names of all objects that the kept snapshots refer to. */
async function needed(tables: SnapshotTables, reader: SnapshotReader): Promise<Set<string>> {
  const live = new Set<string>();
  for (const snapshot of tables.all()) {
    if (live.has(snapshot.root)) continue;
    live.add(snapshot.root);
    for (const page of (await reader.root(snapshot)).pages) {
      if (live.has(page.hash)) continue;
      live.add(page.hash);
      for (const entry of await reader.page(page.hash)) {
        if (entry.t === "f") for (const hash of entry.c) live.add(hash);
      }
    }
  }
  return live;
}
