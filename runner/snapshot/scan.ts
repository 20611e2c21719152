import { createHash, randomUUID } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Stats } from "node:fs";
import { Buffer } from "node:buffer";
import { FULL_PAGE_CHARS, MAX_PAGE_ENTRIES, cutOf, isTranscript, pieceBytes } from "@gantry/protocol/snapshot.ts";
import type { Hash, Scan, ScanRequest, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { FolderRoots } from "../folders/session-folders.ts";
import { diskPathOf } from "./paths.ts";
import { Refused, codeOf } from "./refused.ts";
import { Turns } from "./turns.ts";
import { Walk } from "./walk.ts";
import type { Item, Page } from "./walk.ts";

/** How many bytes of contents are kept from the scan until they are sent, so that a next run cannot change them. */
const SPOOL_BYTES = 16 * 1024 * 1024;

/** How many times a file that changes while it is read is read; the last result is used. */
const READS = 3;

/** How many bytes of new objects travel with the answer to a scan, so that a small change takes one request. */
const AHEAD_BYTES = 1024 * 1024;

/** The result of a scan, kept until its contents are stored. */
interface Scanned {
  readonly id: string;
  readonly list: readonly Item[];
  /** Contents of objects that are not files' pieces, and of pieces that were read in this scan. */
  readonly spool: Map<Hash, Buffer>;
  readonly pages: Set<Hash>;
  /** Where each piece is on disk; built when a piece is requested that was not kept. */
  where: Map<Hash, { path: string; at: number; length: number }> | null;
}

/**
 * Scans a session's folder and reports its contents. A file whose size, times and inode are unchanged is not read again,
 * and an unchanged page is not rebuilt.
 */
export class Scanner {
  readonly #roots: FolderRoots;
  readonly #walk: Walk;
  #storedPages = new Set<Hash>();
  #last: Scanned | null = null;

  constructor(roots: FolderRoots) {
    this.#roots = roots;
    this.#walk = new Walk(roots);
  }

  /** Throws `Refused` when a limit is exceeded, or when `signal` is aborted because a prompt waits for the folder. */
  async scan(request: ScanRequest, signal: AbortSignal): Promise<Omit<Scan, "runnerId" | "folder">> {
    if (request.afresh) {
      this.#walk.forget();
      this.#storedPages = new Set();
    }
    const work = new Turns(signal);
    const spool = new Spool();
    let changing = 0;
    let read = 0;
    for (const item of await this.#walk.run(request, work)) {
      try {
        if (await this.#read(item, request, work, spool)) changing += 1;
        read += item.size;
      } catch (error) {
        if (error instanceof Refused) throw error;
        // Removed or made unreadable since it was listed.
        this.#walk.leaveOut(item, codeOf(error));
      }
      if (read > request.maxBytes) throw tooLarge(request);
    }
    const list = this.#walk.list();
    let bytes = 0;
    let files = 0;
    const transcripts: Scan["transcripts"] = [];
    for (const { kind, path, size } of list) {
      if (kind !== "f") continue;
      files += 1;
      bytes += size;
      if (isTranscript(path)) transcripts.push({ file: path, size });
    }
    if (bytes > request.maxBytes) throw tooLarge(request);
    const pages: SnapshotRoot["pages"] = [];
    for (const { first, items } of toPages(list)) {
      const { hash, size } = this.#page(items, spool);
      pages.push({ first, hash, size });
      if (work.isOver) await work.pause();
    }
    const root: SnapshotRoot = { version: 1, entries: list.length, files, bytes, pages };
    const rootJson = Buffer.from(JSON.stringify(root));
    const rootHash = hashOf(rootJson);
    spool.keep(rootHash, rootJson);
    this.#last = {
      id: randomUUID(),
      list,
      spool: spool.contents,
      pages: new Set(pages.map((page) => page.hash)),
      where: null,
    };
    const scan = { scan: this.#last.id, root: rootHash, rootSize: rootJson.length, transcripts };
    return { ...scan, ...this.#walk.skipped, changing };
  }

  /** An object of the last scan. Throws `Refused` when the scan is not the last one, or when the file has changed since. */
  object(scanId: string, hash: Hash): Buffer {
    const scanned = this.#lastScan(scanId);
    const spooled = scanned.spool.get(hash);
    if (spooled) return spooled;
    scanned.where ??= whereOf(scanned.list);
    const found = scanned.where.get(hash);
    if (!found) throw new Refused("unknown_scan", "There is no such object in this scan.");
    const piece = Buffer.allocUnsafe(found.length);
    try {
      const fd = openSync(
        diskPathOf(this.#roots, found.path),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      );
      try {
        readWhole(fd, piece, found.at);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      throw new Refused("changed", `${found.path}: ${codeOf(error)}`);
    }
    if (hashOf(piece) !== hash) throw new Refused("changed", `${found.path} changed while it was saved.`);
    return piece;
  }

  /** New objects of a scan up to a size limit: the root first, then pages, then contents. */
  ahead(scanId: string): Buffer[] {
    const { spool } = this.#lastScan(scanId);
    const some: Buffer[] = [];
    let bytes = 0;
    for (const contents of [...spool.values()].toReversed()) {
      bytes += contents.length;
      if (bytes > AHEAD_BYTES) break;
      some.push(contents);
    }
    return some;
  }

  /** The scan's contents are stored, or given up. Frees what was kept for it. */
  done(scanId: string, committed: boolean): void {
    if (this.#last?.id !== scanId) return;
    if (committed) this.#storedPages = this.#last.pages;
    this.#last = null;
  }

  #lastScan(scanId: string): Scanned {
    if (this.#last?.id !== scanId) throw new Refused("unknown_scan", "There is no such scan, or there is a newer one.");
    return this.#last;
  }

  /** The page of these items: the previous one if it is stored and none of them changed, otherwise a new one. */
  #page(items: readonly Item[], spool: Spool): Page {
    const before = items[0]?.page;
    const isSame = before?.count === items.length && items.every((item) => item.page === before);
    if (before && isSame && this.#storedPages.has(before.hash)) return before;
    const json = Buffer.from(JSON.stringify(items.map((item) => item.entry())));
    const page: Page = { hash: hashOf(json), size: json.length, count: items.length };
    for (const item of items) item.page = page;
    if (!this.#storedPages.has(page.hash)) spool.keep(page.hash, json);
    return page;
  }

  /** Reads a file. Returns true when it changed during every attempt. */
  async #read(item: Item, request: ScanRequest, work: Turns, spool: Spool): Promise<boolean> {
    // Pieces that the session has need not be offered again. For a transcript that is most of them.
    const isStored = item.page !== null && this.#storedPages.has(item.page.hash);
    const stored = new Set(isStored ? item.pieces : []);
    for (let attempt = 1; ; attempt++) {
      const lookedAt = Date.now();
      // Since the listing the name may have become a link or a pipe. These flags neither follow the one nor block on the other.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const fd = openSync(diskPathOf(this.#roots, item.path), flags);
      try {
        const before = fstatSync(fd);
        if (!before.isFile()) throw Object.assign(new Error("not a file"), { code: "no longer a file" });
        if (before.size > request.maxFileBytes)
          throw Object.assign(new Error("too large"), { code: `larger than ${request.maxFileBytes} bytes` });
        const cut = request.small === true ? cutOf(item.path, before.size) : {};
        const length = pieceBytes({ s: before.size, ...cut });
        const pieces: Hash[] = [];
        let read = 0;
        while (read < before.size) {
          const piece = Buffer.allocUnsafe(Math.min(length, before.size - read));
          const got = readWhole(fd, piece, read, true);
          if (got < piece.length) break;
          const hash = hashOf(piece);
          pieces.push(hash);
          if (!stored.has(hash)) spool.offer(hash, piece);
          read += got;
          await work.pause();
        }
        const after = fstatSync(fd);
        const isWhole = read === before.size;
        const isQuiet = isWhole && isSame(before, after);
        // What was read has the right length, but the file may never have looked like this at one moment.
        if (isQuiet || (isWhole && attempt >= READS)) {
          item.pieces = pieces;
          item.cut = cut;
          item.note(after, lookedAt);
          item.size = before.size;
          item.sure &&= isQuiet;
          return !isQuiet;
        }
        if (attempt >= READS * 2) throw Object.assign(new Error("shrinks"), { code: "changes all the time" });
      } finally {
        closeSync(fd);
      }
    }
  }
}

/** Cuts the list into pages; see `endsPage`. */
function* toPages(list: readonly Item[]): Generator<{ first: string; items: readonly Item[] }> {
  let from = 0;
  let chars = 0;
  for (const [index, item] of list.entries()) {
    item.chars ||= JSON.stringify(item.entry()).length;
    chars += item.chars;
    const count = index + 1 - from;
    if (!item.ends && count < MAX_PAGE_ENTRIES && chars < FULL_PAGE_CHARS && index + 1 < list.length) continue;
    yield { first: list[from]?.path ?? "", items: list.slice(from, index + 1) };
    from = index + 1;
    chars = 0;
  }
}

/** Contents that are kept until they are sent: pages and the root always, pieces of files while there is room. */
class Spool {
  readonly contents = new Map<Hash, Buffer>();
  #held = 0;

  keep(hash: Hash, contents: Buffer): void {
    this.contents.set(hash, contents);
  }

  offer(hash: Hash, contents: Buffer): void {
    if (this.#held + contents.length > SPOOL_BYTES || this.contents.has(hash)) return;
    this.#held += contents.length;
    this.contents.set(hash, contents);
  }
}

function hashOf(contents: Buffer): Hash {
  return createHash("sha256").update(contents).digest("base64url");
}

/** Fills the buffer from a file, from offset `at`. With `short` the file may end early. Returns the bytes read. */
function readWhole(fd: number, into: Buffer, at: number, short = false): number {
  let filled = 0;
  while (filled < into.length) {
    const got = readSync(fd, into, filled, into.length - filled, at + filled);
    if (got === 0) break;
    filled += got;
  }
  if (filled < into.length && !short) throw Object.assign(new Error("shorter"), { code: "is shorter than before" });
  return filled;
}

function tooLarge({ maxBytes }: ScanRequest): Refused {
  return new Refused("too_large", `The files have more than ${maxBytes} bytes.`);
}

function isSame(before: Stats, after: Stats): boolean {
  return before.size === after.size && before.mtimeMs === after.mtimeMs && before.ctimeMs === after.ctimeMs;
}

function whereOf(list: readonly Item[]): Map<Hash, { path: string; at: number; length: number }> {
  const where = new Map<Hash, { path: string; at: number; length: number }>();
  for (const { path, size, pieces, cut } of list) {
    const length = pieceBytes({ s: size, ...cut });
    for (const [index, hash] of pieces.entries())
      where.set(hash, { path, at: index * length, length: Math.min(length, size - index * length) });
  }
  return where;
}
