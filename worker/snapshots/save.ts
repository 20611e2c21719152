import { SnapshotPage, SnapshotRoot, pieceBytes } from "@gantry/protocol/snapshot.ts";
import type { Scan, ScanRequest, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import type { KeyRing } from "./keys.ts";
import { PackWriter } from "./packs.ts";
import type { PackStore } from "./packs.ts";
import { SnapshotFailed, jsonOf } from "./runner.ts";
import type { RunnerFiles } from "./runner.ts";
import type { SnapshotTables } from "./tables.ts";

/** What is asked of the runner at once. */
const ASK_BYTES = 4 * 1024 * 1024;
const ASK_OBJECTS = 4_000;

export interface SaveDeps {
  readonly tables: SnapshotTables;
  readonly transaction: <T>(work: () => T) => T;
  readonly store: PackStore;
  readonly keys: KeyRing;
  readonly runner: RunnerFiles;
  /** Where this session's packs go. */
  readonly prefix: string;
  readonly limits: Omit<ScanRequest, "afresh">;
  /** Throws when this runner does not hold the session (any more): a zombie may not save. */
  readonly checkHolder: (scan: Scan) => void;
}

/** What was saved. The caller commits it. */
export interface Saved {
  readonly scan: Scan;
  readonly root: SnapshotRoot;
  /** Bytes that were new to the store. */
  readonly newBytes: number;
}

interface Wanted {
  readonly hash: string;
  readonly size: number;
}

/**
 * Stores what the session's folder holds and the store lacks. Contents come before the page that names them, and
 * pages before the root: whatever is known is whole below, so what is known is never asked for again.
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
    for (const ask of inAsks(missing)) yield* runner.objects(scan.scan, ask);
  };
  try {
    const [rootBytes] = await all(fetched([{ hash: scan.root, size: scan.rootSize }]));
    const root = rootOf(rootBytes?.[1]);
    // The catalog is told of the pack while its contents are gathered.
    if (!tables.has(scan.root)) writer.begin();
    const lacking = root.pages.filter((page) => !tables.has(page.hash));
    for (const some of inAsks(lacking)) {
      for (const [hash, bytes] of await all(fetched(some))) {
        const wanted = contentsOf(pageOf(bytes)).filter(
          (piece) => !tables.has(piece.hash) && !writer.holds(piece.hash),
        );
        for await (const [name, contents] of fetched(wanted)) {
          await writer.add(name, contents);
          if (writer.stored > deps.limits.maxBytes)
            throw new SnapshotFailed("too_large", "More came than may be saved.");
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
    // The runner believes something stored that is not: it offers everything from now on.
    if (error instanceof SnapshotFailed && error.code === "unknown_scan" && !afresh) return save(deps, true);
    throw error;
  }
}

function rootOf(bytes: Uint8Array | undefined): SnapshotRoot {
  const parsed = SnapshotRoot.safeParse(bytes && jsonOf(bytes));
  if (parsed.success && isAscending(parsed.data.pages.map((page) => page.first))) return parsed.data;
  throw new SnapshotFailed("bad_contents", "The root of the snapshot is unreadable.");
}

/** The entries of a page. Throws on what is none. */
export function pageOf(bytes: Uint8Array): SnapshotEntry[] {
  const parsed = SnapshotPage.safeParse(jsonOf(bytes));
  if (parsed.success && isAscending(parsed.data.map((entry) => entry.p))) return parsed.data;
  const reason = parsed.success ? "its paths are not in order" : (parsed.error.issues[0]?.message ?? "");
  throw new SnapshotFailed("bad_contents", `A page of the snapshot is unreadable: ${reason}.`);
}

function isAscending(paths: readonly string[]): boolean {
  return paths.every((path, index) => index === 0 || (paths[index - 1] ?? "") < path);
}

/** The pieces of a page's files, each once. */
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

/** Parts that are asked for at once. */
function* inAsks(wanted: readonly Wanted[]): Generator<Wanted[]> {
  let ask: Wanted[] = [];
  let bytes = 0;
  for (const each of wanted) {
    if (ask.length > 0 && (bytes + each.size > ASK_BYTES || ask.length >= ASK_OBJECTS)) {
      yield ask;
      ask = [];
      bytes = 0;
    }
    ask.push(each);
    bytes += each.size;
  }
  if (ask.length > 0) yield ask;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
