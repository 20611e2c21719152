import { isSavedPath, pieceBytes, toPages } from "@gantry/protocol/snapshot.ts";
import type { FileEntry, SnapshotEntry, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import { hashOf } from "./keys.ts";
import type { PackWriter } from "./packs.ts";
import type { SnapshotReader } from "./reader.ts";

/** What is to be different in a snapshot, by path. */
export interface Changes {
  /** Files that are written, with the folders above them. */
  readonly put: ReadonlyMap<string, { readonly contents: Uint8Array; readonly mode?: number }>;
  /** Files and links that are removed, and folders with all that is in them. */
  readonly remove: readonly string[];
}

/** A path that cannot be written: it is none, or a file stands where a folder would have to be. */
export class BadPath extends Error {}

/**
 * A snapshot that differs from another one as asked. Reads and writes only the pages that change. `now`: milliseconds.
 */
export async function rewrite(
  reader: SnapshotReader,
  writer: PackWriter,
  from: SnapshotRoot | null,
  changes: Changes,
  now: number,
): Promise<{ root: SnapshotRoot; hash: string }> {
  const put = new Map<string, SnapshotEntry>();
  for (const [path, { contents, mode }] of changes.put) {
    if (!isSavedPath(path) || !path.startsWith("workspace/")) throw new BadPath(`${path} is not a path of a file.`);
    for (const folder of foldersAbove(path)) {
      const there = put.get(folder) ?? (from && (await reader.entry(from, folder)));
      if (there && there.t !== "d") throw new BadPath(`${folder} is not a folder.`);
      if (!there) put.set(folder, { t: "d", p: folder, m: 0o755, n: now * 1000 });
    }
    const there = from && (await reader.entry(from, path));
    if (there?.t === "d") throw new BadPath(`${path} is a folder.`);
    put.set(path, await store(writer, path, contents, mode ?? (there?.t === "f" ? there.m : 0o644), now));
  }
  const isRemoved = (path: string): boolean =>
    changes.remove.some((removed) => path === removed || path.startsWith(`${removed}/`));
  const old: (SnapshotRoot["pages"][number] | null)[] = from && from.pages.length > 0 ? [...from.pages] : [null];
  const counts = { entries: from?.entries ?? 0, files: from?.files ?? 0, bytes: from?.bytes ?? 0 };
  const count = (entries: readonly SnapshotEntry[], sign: 1 | -1): void => {
    const files = entries.filter((entry) => entry.t === "f");
    counts.entries += sign * entries.length;
    counts.files += sign * files.length;
    counts.bytes += sign * files.reduce((sum, file) => sum + file.s, 0);
  };
  const pages: SnapshotRoot["pages"] = [];
  for (const [index, page] of old.entries()) {
    const first = index === 0 ? "" : (page?.first ?? "");
    const next = old[index + 1]?.first;
    const mine = [...put.values()].filter(({ p }) => p >= first && (next === undefined || p < next));
    // All that is in a folder sorts between its name and its name with a 0, which comes after the slash.
    const loses = changes.remove.some((path) => `${path}0` > first && (next === undefined || path < next));
    if (page && mine.length === 0 && !loses) {
      pages.push(page);
      continue;
    }
    const entries = page ? await reader.page(page.hash) : [];
    const kept = entries.filter(({ p }) => !isRemoved(p) && !mine.some((entry) => entry.p === p));
    const changed = [...kept, ...mine].toSorted((a, b) => (a.p < b.p ? -1 : 1));
    count(entries, -1);
    count(changed, 1);
    for (const { first: name, json } of toPages(changed)) {
      const bytes = new TextEncoder().encode(json);
      const hash = await hashOf(bytes);
      await writer.add(hash, bytes);
      pages.push({ first: name, hash, size: bytes.length });
    }
  }
  const root: SnapshotRoot = { version: 1, ...counts, pages };
  const bytes = new TextEncoder().encode(JSON.stringify(root));
  const hash = await hashOf(bytes);
  await writer.add(hash, bytes);
  await writer.flush();
  return { root, hash };
}

async function store(
  writer: PackWriter,
  path: string,
  contents: Uint8Array,
  mode: number,
  now: number,
): Promise<FileEntry> {
  const length = pieceBytes(contents.length);
  const pieces: string[] = [];
  for (let at = 0; at < contents.length; at += length) {
    const piece = contents.slice(at, at + length);
    const hash = await hashOf(piece);
    await writer.add(hash, piece);
    pieces.push(hash);
  }
  return { t: "f", p: path, m: mode, n: now * 1000, s: contents.length, c: pieces };
}

function foldersAbove(path: string): string[] {
  const steps = path.split("/");
  return steps.slice(1).map((_step, index) => steps.slice(0, index + 1).join("/"));
}
