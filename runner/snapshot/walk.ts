import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { Stats } from "node:fs";
import { Buffer } from "node:buffer";
import { SAVED_PARTS, endsPage, isSavedPath } from "@gantry/protocol/snapshot.ts";
import type { FileEntry, Hash, ScanRequest, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import type { FolderRoots } from "../folders/session-folders.ts";
import { diskPathOf, nameToText } from "./paths.ts";
import { Refused, codeOf } from "./refused.ts";
import type { Turns } from "./turns.ts";

/**
 * A modification time this close to the moment of the check proves nothing: the file may change again within the same tick
 * of the disk's clock.
 */
const RACY_MS = 50;

/** A page of the last scan. It can be reused when it consists of the same items and none of them changed. */
export interface Page {
  readonly hash: Hash;
  readonly size: number;
  readonly count: number;
}

/**
 * A file, folder or link as the last scan saw it. One with the same times, size and inode as before counts as unchanged.
 */
export class Item {
  readonly path: string;
  /** `x`: something that cannot be saved. */
  readonly kind: SnapshotEntry["t"] | "x";
  /** Whether its page ends with it; see `endsPage`. */
  readonly ends: boolean;
  size = -1;
  mode = 0;
  mtimeMs = 0;
  ctimeMs = 0;
  ino = -1;
  /** Whether it was checked long enough after its last change for its times to be trusted. */
  sure = false;
  /** Hashes of a file's pieces, in order. */
  pieces: readonly Hash[] = [];
  /** How the file is cut into pieces. */
  cut: Pick<FileEntry, "z"> = {};
  /** Target of a link. */
  to = "";
  /** What a folder contains, in no order. */
  children: Item[] = [];
  /** Number of the scan that saw it last; 0 when it is left out. */
  seen = 0;
  /** Whether the previous scan listed it. */
  listed = false;
  /** Length of its line in a page, in characters; 0 when it must be counted again. */
  chars = 0;
  page: Page | null = null;

  constructor(path: string, kind: Item["kind"]) {
    this.path = path;
    this.kind = kind;
    this.ends = endsPage(path);
  }

  /** Whether it is certainly the same as when it was noted. */
  isAsBefore(stats: Stats): boolean {
    return (
      this.sure &&
      this.size === stats.size &&
      this.mtimeMs === stats.mtimeMs &&
      this.ctimeMs === stats.ctimeMs &&
      this.ino === stats.ino
    );
  }

  /** Records its current state. `lookedAt`: when the reading of its contents began, in ms since the epoch. */
  note(stats: Stats, lookedAt: number): void {
    this.size = stats.size;
    this.mode = stats.mode & 0o1777;
    this.mtimeMs = stats.mtimeMs;
    this.ctimeMs = stats.ctimeMs;
    this.ino = stats.ino;
    this.sure = Math.max(stats.mtimeMs, stats.ctimeMs) < lookedAt - RACY_MS;
    this.chars = 0;
    this.page = null;
  }

  /** Its line in a page. */
  entry(): SnapshotEntry {
    const { path: p, mode: m } = this;
    const n = Math.round(this.mtimeMs * 1000);
    if (this.kind === "d") return { t: "d", p, m, n };
    if (this.kind === "l") return { t: "l", p, n, to: this.to };
    return { t: "f", p, m, n, s: this.size, c: [...this.pieces], ...this.cut };
  }
}

/**
 * Lists the saved parts of a session's folder, and remembers what it saw: an unchanged folder is not listed again, and an
 * unchanged file costs one `lstat`. Follows no link.
 */
export class Walk {
  readonly #roots: FolderRoots;
  #parts: Item[] = [];
  #list: Item[] = [];
  /** Items that this scan found and `list` has not merged yet. */
  #added: Item[] = [];
  #scan = 0;
  #skipped: { path: string; why: string }[] = [];
  #skippedCount = 0;
  #exclude = "";

  constructor(roots: FolderRoots) {
    this.#roots = roots;
  }

  /** Forgets everything it saw, so that the next scan reads every file. */
  forget(): void {
    this.#parts = [];
    this.#list = [];
  }

  /** What the last scan left out: the first 20 with their reasons, and how many in all. */
  get skipped(): { skipped: { path: string; why: string }[]; skippedCount: number } {
    return { skipped: this.#skipped, skippedCount: this.#skippedCount };
  }

  /** Reports a path that is left out, and why. */
  skip(path: string, why: string): void {
    this.#skippedCount += 1;
    if (this.#skipped.length < 20)
      this.#skipped.push({ path: path.toWellFormed().slice(0, 1000), why: why.slice(0, 100) });
  }

  /** Leaves an item out of the snapshot, and reports why. */
  leaveOut(item: Item, why: string): void {
    item.seen = 0;
    this.skip(item.path, why);
  }

  /** Walks through all saved parts and returns the files that must be read. Throws `Refused` when a limit is exceeded. */
  async run(request: ScanRequest, work: Turns): Promise<Item[]> {
    const exclude = new Set(request.exclude);
    const asked = JSON.stringify(request.exclude);
    if (asked !== this.#exclude) this.forget();
    this.#exclude = asked;
    this.#scan += 1;
    this.#skipped = [];
    this.#skippedCount = 0;
    const unread: Item[] = [];
    const added: Item[] = [];
    const startedAt = Date.now();
    let entries = 0;
    const known = new Map(this.#parts.map((part) => [part.path, part]));
    this.#parts = [];
    const pending: Item[] = [];
    const note = (path: string, before: Item | undefined): Item | null => {
      const stats = lstatSync(diskPathOf(this.#roots, path), { throwIfNoEntry: false });
      if (!stats) return null; // removed since it was listed
      const why = (before && before.kind !== "x") || isSavedPath(path) ? null : "path too long";
      const kind = why === null ? kindOf(stats) : "x";
      const item = before?.kind === kind ? before : new Item(path, kind);
      if (kind === "x") {
        this.leaveOut(item, why ?? (stats.isFIFO() ? "a pipe" : stats.isSocket() ? "a socket" : "a device"));
        return item;
      }
      if (kind === "f" && stats.size > request.maxFileBytes) {
        this.leaveOut(item, `larger than ${request.maxFileBytes} bytes`);
        return item;
      }
      item.seen = this.#scan;
      if (!item.listed) added.push(item);
      if (!item.isAsBefore(stats)) {
        if (kind === "f") unread.push(item);
        else if (kind === "l") {
          item.to = nameToText(Buffer.from(readlinkSync(diskPathOf(this.#roots, path), { encoding: "buffer" })));
          item.note(stats, startedAt);
        } else item.note(stats, -1);
      }
      if (kind === "d") pending.push(item);
      if (++entries > request.maxEntries)
        throw new Refused("too_large", `There are more than ${request.maxEntries} files and folders.`);
      return item;
    };
    for (const part of SAVED_PARTS) {
      if (!lstatSync(diskPathOf(this.#roots, part), { throwIfNoEntry: false })?.isDirectory()) continue;
      const item = note(part, known.get(part));
      if (item) this.#parts.push(item);
    }
    for (let folder = pending.pop(); folder; folder = pending.pop()) {
      const listedAt = Date.now();
      const { children, sure } = folder;
      const paths = sure ? null : this.#names(folder.path, exclude);
      const isClosed = !sure && paths === null;
      const before = new Map(sure ? [] : children.map((child) => [child.path, child]));
      const count = paths ? paths.length : sure ? children.length : 0;
      folder.children = [];
      for (let at = 0; at < count; at++) {
        const path = paths ? paths[at] : children[at]?.path;
        const item = path === undefined ? null : note(path, paths ? before.get(path) : children[at]);
        if (item) folder.children.push(item);
        if (work.isOver) await work.pause();
      }
      // A folder that could not be listed, or that changed during the walk, is listed again next time.
      folder.sure =
        !isClosed && folder.children.length === count && Math.max(folder.mtimeMs, folder.ctimeMs) < listedAt - RACY_MS;
    }
    this.#added = added;
    return unread;
  }

  /** All saved items, ordered by path. Call it after the files have been read. */
  list(): readonly Item[] {
    const added = this.#added.filter((item) => item.seen === this.#scan).sort((a, b) => (a.path < b.path ? -1 : 1));
    const merged: Item[] = [];
    let next = 0;
    for (const item of this.#list) {
      item.listed = item.seen === this.#scan;
      if (!item.listed) continue;
      for (let other = added[next]; other && other.path < item.path; other = added[++next]) merged.push(other);
      merged.push(item);
    }
    merged.push(...added.slice(next));
    for (const item of added) item.listed = true;
    this.#list = merged;
    return merged;
  }

  /** Paths of what a folder contains; null when it cannot be listed. */
  #names(folder: string, exclude: ReadonlySet<string>): string[] | null {
    const excludes = folder === "workspace" || folder.startsWith("workspace/");
    let names: Buffer[];
    try {
      names = readdirSync(diskPathOf(this.#roots, folder), { encoding: "buffer" });
    } catch (error) {
      this.skip(folder, codeOf(error));
      return null;
    }
    return names
      .map((name) => nameToText(Buffer.from(name.buffer, name.byteOffset, name.length)))
      .filter((name) => !(excludes && exclude.has(name)))
      .map((name) => `${folder}/${name}`);
  }
}

function kindOf(stats: Stats): Item["kind"] {
  return stats.isFile() ? "f" : stats.isDirectory() ? "d" : stats.isSymbolicLink() ? "l" : "x";
}
