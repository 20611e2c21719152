import { SnapshotPage, SnapshotRoot, pieceBytes } from "@gantry/protocol/snapshot.ts";
import type { Scan, ScanRequest, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import type { KeyRing } from "./keys.ts";
import { PackWriter } from "./packs.ts";
import type { PackStore } from "./packs.ts";
import { SnapshotFailed, jsonOf } from "./runner.ts";
import type { RunnerFiles } from "./runner.ts";
import type { SnapshotTables } from "./tables.ts";

/** Most bytes and objects in one request to the runner. */
const REQUEST_BYTES = 4 * 1024 * 1024;
const REQUEST_OBJECTS = 4_000;

/** What a save works on. */
export interface SaveDeps {
  readonly tables: SnapshotTables;
  readonly transaction: <T>(work: () => T) => T;
  readonly store: PackStore;
  readonly keys: KeyRing;
  readonly runner: RunnerFiles;
  /** Prefix of the keys of this session's packs. */
  readonly prefix: string;
  readonly limits: Omit<ScanRequest, "afresh">;
  /** Throws when this runner does not, or no longer, hold the session: a lost sandbox must not save. */
  readonly checkHolder: (scan: Scan) => void;
}

/** A finished save. The caller commits it. */
export interface Saved {
  readonly scan: Scan;
  readonly root: SnapshotRoot;
  /** Sealed bytes that were new to the store. */
  readonly newBytes: number;
}

interface Wanted {
  readonly hash: string;
  readonly size: number;
}

/**
 * Stores what the session's folder holds and the store lacks. Contents are stored before the page that names them, and
 * pages before the root. So a listed object is always complete and is never requested again.
 * Throws `SnapshotFailed`, `NoSnapshotKey`, or what the store throws.
 * @param afresh makes the runner offer all objects, also those it believes stored.
 */
export async function save(deps: SaveDeps, afresh = false): Promise<Saved> {
  const { tables, runner, checkHolder } = deps;
  const { scan, ahead } = await runner.scan({ ...deps.limits, afresh });
  checkHolder(scan);
  const writer = new PackWriter(deps.store, deps.keys, deps.prefix, (pack) =>
    deps.transaction(() => tables.addPack(pack)),
  );
  const fetched = async function* (wanted: readonly Wanted[]): AsyncGenerator<[string, Uint8Array]> {
    const missing: Wanted[] = [];
    for (const object of wanted) {
      const contents = ahead.get(object.hash);
      if (contents?.length === object.size) yield [object.hash, contents];
      else missing.push(object);
    }
    for (const request of inRequests(missing)) yield* runner.objects(scan.scan, request);
  };
  try {
    const [rootBytes] = await all(fetched([{ hash: scan.root, size: scan.rootSize }]));
    const root = rootOf(rootBytes?.[1]);
    // The catalog records the pack while its contents are collected.
    if (!tables.has(scan.root)) writer.begin();
    const lacking = root.pages.filter((page) => !tables.has(page.hash));
    for (const some of inRequests(lacking)) {
      for (const [hash, bytes] of await all(fetched(some))) {
        const wanted = contentsOf(pageOf(bytes)).filter(
          (piece) => !tables.has(piece.hash) && !writer.holds(piece.hash),
        );
        for await (const [name, contents] of fetched(wanted)) {
          await writer.add(name, contents);
          if (writer.stored > deps.limits.maxBytes)
            throw new SnapshotFailed("too_large", "The runner sent more than may be saved.");
        }
        await writer.add(hash, bytes);
      }
    }
    if (rootBytes && !tables.has(scan.root)) await writer.add(scan.root, rootBytes[1]);
    await writer.flush();
    checkHolder(scan);
    return { scan, root, newBytes: writer.stored };
  } catch (error) {
    await runner.done(scan.scan, false).catch(() => {});
    // The runner believes an object stored that is not: have it offer everything.
    if (error instanceof SnapshotFailed && error.code === "unknown_scan" && !afresh) return save(deps, true);
    throw error;
  }
}

function rootOf(bytes: Uint8Array | undefined): SnapshotRoot {
  const parsed = SnapshotRoot.safeParse(bytes && jsonOf(bytes));
  if (parsed.success && isAscending(parsed.data.pages.map((page) => page.first))) return parsed.data;
  throw new SnapshotFailed("bad_contents", "The root of the snapshot is unreadable.");
}

/** The entries of a page. Throws `SnapshotFailed` when it is unreadable. */
export function pageOf(bytes: Uint8Array): SnapshotEntry[] {
  const parsed = SnapshotPage.safeParse(jsonOf(bytes));
  if (parsed.success && isAscending(parsed.data.map((entry) => entry.p))) return parsed.data;
  const reason = parsed.success ? "its paths are not in order" : (parsed.error.issues[0]?.message ?? "");
  throw new SnapshotFailed("bad_contents", `A page of the snapshot is unreadable: ${reason}.`);
}

function isAscending(paths: readonly string[]): boolean {
  return paths.every((path, index) => index === 0 || (paths[index - 1] ?? "") < path);
}

/** The pieces of a page's files, without duplicates. */
function contentsOf(entries: readonly SnapshotEntry[]): Wanted[] {
  const wanted = new Map<string, Wanted>();
  for (const entry of entries) {
    if (entry.t !== "f") continue;
    const length = pieceBytes(entry);
    for (const [index, hash] of entry.c.entries())
      wanted.set(hash, { hash, size: Math.min(length, entry.s - index * length) });
  }
  return [...wanted.values()];
}

/** Splits a list into requests. */
function* inRequests(wanted: readonly Wanted[]): Generator<Wanted[]> {
  let request: Wanted[] = [];
  let bytes = 0;
  for (const each of wanted) {
    if (request.length > 0 && (bytes + each.size > REQUEST_BYTES || request.length >= REQUEST_OBJECTS)) {
      yield request;
      request = [];
      bytes = 0;
    }
    request.push(each);
    bytes += each.size;
  }
  if (request.length > 0) yield request;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
