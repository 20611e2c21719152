import { formatPatch, structuredPatch } from "diff";
import type { FileEntry, SnapshotEntry, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { SnapshotReader } from "../snapshots/reader.ts";
import { Tree, pathOf } from "./tree.ts";

/** A file or link that was added, changed or removed. Field names are those of the API. */
export interface Change {
  readonly path: string;
  readonly status: "added" | "modified" | "deleted";
  /** Bytes; null where there was or is no file. */
  readonly size_before: number | null;
  readonly size_after: number | null;
  /** Lines; null when the contents are not text or too large to compare. */
  readonly additions: number | null;
  readonly deletions: number | null;
  /** Unified diff, as `git apply` reads it; null when lines were not compared. */
  readonly patch: string | null;
}

/** One side of a comparison: a snapshot and its reader. */
export interface Side {
  readonly reader: SnapshotReader;
  readonly root: SnapshotRoot;
}

/** A larger file is listed as changed, without lines. */
const MAX_TEXT_BYTES = 512 * 1024;
/** Most characters of all patches together. Further files are listed as changed, without lines. */
const MAX_PATCH_CHARS = 4 * 1024 * 1024;
const MAX_CHANGES = 5_000;
/** Time to compare one file. */
const MAX_COMPARE_MS = 1_000;

/** What changed between two snapshots; `before` null: everything is new. Reads only the pages and files that differ. */
export async function diff(before: Side | null, after: Side): Promise<{ changes: Change[]; truncated: boolean }> {
  const shared = new Set(before?.root.pages.map((page) => page.hash));
  const common = new Set(after.root.pages.map((page) => page.hash).filter((hash) => shared.has(hash)));
  const [old, now] = [
    before ? await entriesBut(before, common) : new Map<string, SnapshotEntry>(),
    await entriesBut(after, common),
  ];
  const paths = [...new Set([...old.keys(), ...now.keys()])]
    .sort()
    .filter((path) => !same(old.get(path), now.get(path)));
  const changes: Change[] = [];
  let room = MAX_PATCH_CHARS;
  for (const path of paths.slice(0, MAX_CHANGES)) {
    const [was, is] = [old.get(path), now.get(path)];
    const lines = room > 0 ? await patchOf(path, [before, was], [after, is]) : null;
    room -= lines?.patch.length ?? 0;
    changes.push({
      path,
      status: was ? (is ? "modified" : "deleted") : "added",
      size_before: was?.t === "f" ? was.s : null,
      size_after: is?.t === "f" ? is.s : null,
      additions: lines?.additions ?? null,
      deletions: lines?.deletions ?? null,
      patch: lines?.patch ?? null,
    });
  }
  return { changes, truncated: paths.length > MAX_CHANGES || room <= 0 };
}

/** Files and links on pages that only this side has. A folder alone does not count as a change. */
async function entriesBut({ reader, root }: Side, common: ReadonlySet<string>): Promise<Map<string, SnapshotEntry>> {
  const found = new Map<string, SnapshotEntry>();
  for (const { hash } of root.pages) {
    if (common.has(hash)) continue;
    for (const entry of await reader.page(hash)) {
      const path = pathOf(entry);
      // Each commit changes many files of the repository's own storage, and no reader wants to see them.
      if (path !== null && entry.t !== "d" && !/(^|\/)\.git\//.test(path)) found.set(path, entry);
    }
  }
  return found;
}

function same(a: SnapshotEntry | undefined, b: SnapshotEntry | undefined): boolean {
  if (!a || !b) return a === b;
  if (a.t === "l" && b.t === "l") return a.to === b.to;
  if (a.t === "f" && b.t === "f") return a.m === b.m && a.s === b.s && a.c.join() === b.c.join();
  return false;
}

async function patchOf(
  path: string,
  old: readonly [Side | null, SnapshotEntry | undefined],
  now: readonly [Side | null, SnapshotEntry | undefined],
): Promise<{ patch: string; additions: number; deletions: number } | null> {
  const [was, is] = [await textOf(...old), await textOf(...now)];
  if (was === null || is === null) return null;
  const [oldMode, newMode] = [modeOf(old[1]), modeOf(now[1])];
  const names = [oldMode ? `a/${path}` : "/dev/null", newMode ? `b/${path}` : "/dev/null"] as const;
  const patch = structuredPatch(...names, was, is, undefined, undefined, { timeout: MAX_COMPARE_MS });
  if (!patch) return null;
  const lines = patch.hunks.flatMap((hunk) => hunk.lines);
  return {
    patch: formatPatch({
      ...patch,
      isGit: true,
      ...(oldMode ? {} : { isCreate: true }),
      ...(newMode ? {} : { isDelete: true }),
      ...(oldMode && oldMode !== newMode ? { oldMode } : {}),
      ...(newMode && oldMode !== newMode ? { newMode } : {}),
    }),
    additions: lines.filter((line) => line.startsWith("+")).length,
    deletions: lines.filter((line) => line.startsWith("-")).length,
  };
}

/** A file's mode as git writes it. */
function modeOf(entry: SnapshotEntry | undefined): string | null {
  if (!entry) return null;
  if (entry.t === "l") return "120000";
  return entry.t === "f" && (entry.m & 0o100) !== 0 ? "100755" : "100644";
}

/** The text of one side; "" when there is no file, null when it is not text or too large. */
async function textOf(side: Side | null, entry: SnapshotEntry | undefined): Promise<string | null> {
  if (!side || !entry || entry.t === "d") return "";
  if (entry.t === "l") return entry.to;
  if (entry.s > MAX_TEXT_BYTES) return null;
  return readText(side, entry);
}

async function readText({ reader, root }: Side, entry: FileEntry): Promise<string | null> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      await new Tree(reader, root).bytes(entry),
    );
    return text.includes("\0") ? null : text;
  } catch (error) {
    if (error instanceof TypeError) return null; // not UTF-8
    throw error;
  }
}
