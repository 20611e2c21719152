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
/** Bytes of files that are read to compare them, in one request. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
/** Milliseconds to compare one file, and all files of a request. Nothing else runs while lines are compared. */
const MAX_FILE_MS = 200;
const MAX_TOTAL_MS = 1_000;
/**
 * Added and removed lines of one file, beyond which it is listed without lines. The time grows with the square of this
 * number: 200 ms for a thousand. In the cloud the clock stands still while lines are compared, so the number is the limit.
 */
const MAX_EDITS = 1_500;
const MAX_TOTAL_EDITS_SQUARED = 4 * MAX_EDITS ** 2;
/** Milliseconds, and files, after which other requests get a turn. */
const TURN = { ms: 20, files: 50 };

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
  const budget = new Budget();
  for (const path of paths.slice(0, MAX_CHANGES)) {
    const [was, is] = [old.get(path), now.get(path)];
    const lines = budget.left ? await patchOf(path, [before, was], [after, is], budget) : null;
    await budget.turn();
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
  return { changes, truncated: paths.length > MAX_CHANGES || !budget.left };
}

/** What one request may still spend. Each limit counts for the request: a limit for a file alone is none for 5,000 files. */
class Budget {
  #chars = MAX_PATCH_CHARS;
  #bytes = MAX_READ_BYTES;
  #ms = MAX_TOTAL_MS;
  #editsSquared = MAX_TOTAL_EDITS_SQUARED;
  #turnBegan = Date.now();
  #filesOfTurn = 0;

  get left(): boolean {
    return this.#chars > 0 && this.#bytes > 0 && this.#ms > 0 && this.#editsSquared > 0;
  }

  /** Milliseconds that the next comparison may take. */
  get ms(): number {
    return Math.min(MAX_FILE_MS, this.#ms);
  }

  read(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Notes a comparison. `edits`: its added and removed lines, or `MAX_EDITS` when it was given up. */
  compared(ms: number, edits: number, chars: number): void {
    this.#ms -= ms;
    this.#editsSquared -= edits ** 2;
    this.#chars -= chars;
  }

  /** Lets other requests run when this one has had its turn. */
  async turn(): Promise<void> {
    this.#filesOfTurn += 1;
    if (Date.now() - this.#turnBegan < TURN.ms && this.#filesOfTurn < TURN.files) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#turnBegan = Date.now();
    this.#filesOfTurn = 0;
  }
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
  budget: Budget,
): Promise<{ patch: string; additions: number; deletions: number } | null> {
  const [was, is] = [await textOf(...old, budget), await textOf(...now, budget)];
  if (was === null || is === null) return null;
  const [oldMode, newMode] = [modeOf(old[1]), modeOf(now[1])];
  const names = [oldMode ? `a/${path}` : "/dev/null", newMode ? `b/${path}` : "/dev/null"] as const;
  const began = Date.now();
  // A file that is new or gone costs nothing to compare, however long it is.
  const isWhole = was === "" || is === "";
  const limits = { timeout: budget.ms, maxEditLength: isWhole ? Infinity : MAX_EDITS };
  const patch =
    isWhole || fewestEdits(was, is) <= MAX_EDITS
      ? structuredPatch(...names, was, is, undefined, undefined, limits)
      : undefined;
  if (!patch) {
    budget.compared(Date.now() - began, MAX_EDITS, 0);
    return null;
  }
  const lines = patch.hunks.flatMap((hunk) => hunk.lines);
  const additions = lines.filter((line) => line.startsWith("+")).length;
  const deletions = lines.filter((line) => line.startsWith("-")).length;
  const text = formatPatch({
    ...patch,
    isGit: true,
    ...(oldMode ? {} : { isCreate: true }),
    ...(newMode ? {} : { isDelete: true }),
    ...(oldMode && oldMode !== newMode ? { oldMode } : {}),
    ...(newMode && oldMode !== newMode ? { newMode } : {}),
  });
  budget.compared(Date.now() - began, isWhole ? 0 : additions + deletions, text.length);
  return { patch: text, additions, deletions };
}

/** A lower bound for the added and removed lines: those that the other side does not have at all. Takes linear time. */
function fewestEdits(was: string, is: string): number {
  const unmatched = new Map<string, number>();
  const [old, now] = [was.split("\n"), is.split("\n")];
  for (const line of old) unmatched.set(line, (unmatched.get(line) ?? 0) + 1);
  let common = 0;
  for (const line of now) {
    const count = unmatched.get(line) ?? 0;
    if (count === 0) continue;
    unmatched.set(line, count - 1);
    common += 1;
  }
  return old.length + now.length - 2 * common;
}

/** A file's mode as git writes it. */
function modeOf(entry: SnapshotEntry | undefined): string | null {
  if (!entry) return null;
  if (entry.t === "l") return "120000";
  return entry.t === "f" && (entry.m & 0o100) !== 0 ? "100755" : "100644";
}

/** The text of one side; "" when there is no file, null when it is not text or too large. */
async function textOf(side: Side | null, entry: SnapshotEntry | undefined, budget: Budget): Promise<string | null> {
  if (!side || !entry || entry.t === "d") return "";
  if (entry.t === "l") return entry.to;
  if (entry.s > MAX_TEXT_BYTES) return null;
  budget.read(entry.s);
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
