import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { Stats } from "node:fs";
import { Buffer } from "node:buffer";
import { SAVED_PARTS, endsPage, isSavedPath } from "@gantry/protocol/snapshot.ts";
import type { FileEntry, Hash, ScanRequest, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import { nameToText } from "./paths.ts";
import { onDisk } from "./place.ts";
import type { Place } from "./place.ts";
import { Refused, codeOf } from "./refused.ts";
import type { Turns } from "./turns.ts";

/** A time this close to the look says nothing: there may be another change within the same tick of the disk's clock. */
const RACY_MS = 50;

/** A page of the last scan. It is the same again when the same items make it up, none of them changed. */
export interface Page {
  readonly hash: Hash;
  readonly size: number;
  readonly count: number;
}

/** One thing in a saved folder as it was seen last. What has the same times, size and inode again is the same. */
export class Item {
  readonly path: string;
  /** `x`: nothing that can be saved. */
  readonly kind: SnapshotEntry["t"] | "x";
  readonly ends: boolean;
  size = -1;
  mode = 0;
  mtimeMs = 0;
  ctimeMs = 0;
  ino = -1;
  /** Whether what is known of it was looked at long enough after its last change. */
  sure = false;
  /** Contents of a file. */
  pieces: readonly Hash[] = [];
  /** How they are cut. */
  cut: Pick<FileEntry, "z"> = {};
  /** Target of a link. */
  to = "";
  /** What is in a folder, in no order. */
  children: Item[] = [];
  /** The scan that saw it last; 0: it is left out. */
  seen = 0;
  /** Whether it stands in the list of the scan before. */
  listed = false;
  /** Length of its line in a page; 0: to be counted anew. */
  chars = 0;
  page: Page | null = null;

  constructor(path: string, kind: Item["kind"]) {
    this.path = path;
    this.kind = kind;
    this.ends = endsPage(path);
  }

  isAsBefore(stats: Stats): boolean {
    return (
      this.sure &&
      this.size === stats.size &&
      this.mtimeMs === stats.mtimeMs &&
      this.ctimeMs === stats.ctimeMs &&
      this.ino === stats.ino
    );
  }

  /** Notes how it is. `lookedAt`: when the look began that found its contents. */
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

  entry(): SnapshotEntry {
    const { path: p, mode: m } = this;
    const n = Math.round(this.mtimeMs * 1000);
    if (this.kind === "d") return { t: "d", p, m, n };
    if (this.kind === "l") return { t: "l", p, n, to: this.to };
    return { t: "f", p, m, n, s: this.size, c: [...this.pieces], ...this.cut };
  }
}

/**
 * Lists the saved parts of a session's folder, and remembers what it saw: a folder that has not changed is not listed
 * again, and of a file that has not changed only its times are asked. Follows no link.
 */
export class Walk {
  readonly #place: Place;
  #parts: Item[] = [];
  #list: Item[] = [];
  /** What the scan found that is not in the list yet. */
  #added: Item[] = [];
  #scan = 0;
  #skipped: { path: string; why: string }[] = [];
  #skippedCount = 0;
  #exclude = "";

  constructor(place: Place) {
    this.#place = place;
  }

  /** Forgets what it has seen. */
  forget(): void {
    this.#parts = [];
    this.#list = [];
  }

  get skipped(): { skipped: { path: string; why: string }[]; skippedCount: number } {
    return { skipped: this.#skipped, skippedCount: this.#skippedCount };
  }

  /** Leaves something out, and says why. */
  skip(path: string, why: string): void {
    this.#skippedCount += 1;
    if (this.#skipped.length < 20)
      this.#skipped.push({ path: path.toWellFormed().slice(0, 1000), why: why.slice(0, 100) });
  }

  leaveOut(item: Item, why: string): void {
    item.seen = 0;
    this.skip(item.path, why);
  }

  /** Goes through everything. Returns the files that are to be read. */
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
      const stats = lstatSync(onDisk(this.#place, path), { throwIfNoEntry: false });
      if (!stats) return null; // gone since it was listed
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
          item.to = nameToText(Buffer.from(readlinkSync(onDisk(this.#place, path), { encoding: "buffer" })));
          item.note(stats, startedAt);
        } else item.note(stats, -1);
      }
      if (kind === "d") pending.push(item);
      if (++entries > request.maxEntries)
        throw new Refused("too_large", `There are more than ${request.maxEntries} files and folders.`);
      return item;
    };
    for (const part of SAVED_PARTS) {
      if (!lstatSync(onDisk(this.#place, part), { throwIfNoEntry: false })?.isDirectory()) continue;
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
      // One that could not be listed, or lost something just now, is listed again the next time.
      folder.sure =
        !isClosed && folder.children.length === count && Math.max(folder.mtimeMs, folder.ctimeMs) < listedAt - RACY_MS;
    }
    this.#added = added;
    return unread;
  }

  /** Everything that is there, in the order of the paths. Call when the files have been read. */
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

  /** Null where it cannot be listed. */
  #names(folder: string, exclude: ReadonlySet<string>): string[] | null {
    const excludes = folder === "workspace" || folder.startsWith("workspace/");
    let names: Buffer[];
    try {
      names = readdirSync(onDisk(this.#place, folder), { encoding: "buffer" });
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
