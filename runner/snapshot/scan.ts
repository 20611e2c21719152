import { createHash, randomUUID } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, readdirSync, readlinkSync } from "node:fs";
import type { Stats } from "node:fs";
import { Buffer } from "node:buffer";
import { SAVED_PARTS, isSavedPath, isTranscript, pieceBytes, toPages } from "@gantry/protocol/snapshot.ts";
import type {
  Hash,
  Scan,
  ScanRequest,
  SnapshotEntry,
  SnapshotRefusal,
  SnapshotRoot,
} from "@gantry/protocol/snapshot.ts";
import { nameToText } from "./paths.ts";
import { onDisk } from "./place.ts";
import type { Place } from "./place.ts";

/** Work is done in turns of this length: other sessions share the process. */
const TURN_MS = 8;

/** A time this close to the scan says nothing: the file may change again within the same tick of the disk's clock. */
const RACY_MS = 50;

/** Contents held from the scan until they are sent, so that what a next run changes does not matter. */
const SPOOL_BYTES = 16 * 1024 * 1024;

/** A file that changes while it is read is read again so often, and then taken as it was read. */
const READS = 3;

/** What was known of a file when it was read last; the same again means the same contents. */
interface Known {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
  readonly pieces: readonly Hash[];
}

/** A refusal with its code. */
export class Refused extends Error {
  readonly code: SnapshotRefusal["error"];
  constructor(code: SnapshotRefusal["error"], message: string) {
    super(message);
    this.code = code;
  }
}

/** The result of a scan, kept until its contents are stored. */
interface Scanned {
  readonly id: string;
  readonly files: Map<string, { size: number; pieces: readonly Hash[] }>;
  /** Contents of objects that are not files' pieces, and of pieces that were read in this scan. */
  readonly spool: Map<Hash, Buffer>;
  readonly pages: Set<Hash>;
  /** Where pieces are; made when one is asked for that is not spooled. */
  where: Map<Hash, { path: string; at: number; length: number }> | null;
}

/**
 * Looks through a session's folder and says what it holds. A file whose size, times and inode are as before is not
 * read again.
 */
export class Scanner {
  readonly #place: Place;
  #known = new Map<string, Known>();
  #storedPages = new Set<Hash>();
  #last: Scanned | null = null;

  constructor(place: Place) {
    this.#place = place;
  }

  /** Throws `Refused` where a limit is exceeded, or when `signal` says that somebody waits for the folder. */
  async scan(request: ScanRequest, signal: AbortSignal): Promise<Omit<Scan, "runnerId" | "folder">> {
    if (request.afresh) {
      this.#known = new Map();
      this.#storedPages = new Set();
    }
    const startedAt = Date.now();
    const work = new Turns(signal);
    const walk = new Walk(this.#place, request, work);
    const found = await walk.run();
    const spool = new Spool();
    const known = new Map<string, Known>();
    let changing = 0;
    let bytes = 0;
    const entries: SnapshotEntry[] = walk.others;
    for (const { path, stats } of found) {
      let entry = this.#known.get(path);
      let now = stats;
      if (!entry || !same(entry, stats) || Math.max(stats.mtimeMs, stats.ctimeMs) > startedAt - RACY_MS) {
        const read = await this.#read(path, request, work, spool).catch((error: unknown) => {
          if (error instanceof Refused) throw error;
          // Gone or made unreadable since it was listed.
          walk.skip(path, codeOf(error));
          return null;
        });
        if (!read) continue;
        if (read.changed) changing += 1;
        ({ entry, stats: now } = read);
      }
      await work.pause();
      bytes += entry.size;
      if (bytes > request.maxBytes)
        throw new Refused("too_large", `The files are more than ${request.maxBytes} bytes.`);
      known.set(path, entry);
      entries.push({ t: "f", p: path, m: now.mode & 0o1777, n: micros(now), s: entry.size, c: [...entry.pieces] });
    }
    entries.sort((a, b) => (a.p < b.p ? -1 : 1));
    const pages: SnapshotRoot["pages"] = [];
    for (const { first, json } of toPages(entries)) {
      const page = Buffer.from(json);
      const hash = hashOf(page);
      pages.push({ first, hash, size: page.length });
      if (!this.#storedPages.has(hash)) spool.keep(hash, page);
      await work.pause();
    }
    const root: SnapshotRoot = { version: 1, entries: entries.length, files: known.size, bytes, pages };
    const rootJson = Buffer.from(JSON.stringify(root));
    const rootHash = hashOf(rootJson);
    spool.keep(rootHash, rootJson);
    this.#known = known;
    this.#last = {
      id: randomUUID(),
      files: new Map([...known].map(([path, file]) => [path, { size: file.size, pieces: file.pieces }])),
      spool: spool.contents,
      pages: new Set(pages.map((page) => page.hash)),
      where: null,
    };
    return {
      scan: this.#last.id,
      root: rootHash,
      rootSize: rootJson.length,
      transcripts: [...known].filter(([path]) => isTranscript(path)).map(([file, { size }]) => ({ file, size })),
      skipped: walk.skipped,
      skippedCount: walk.skippedCount,
      changing,
    };
  }

  /** An object of the last scan. Throws `Refused`: the scan is not the last one, or the file changed since. */
  object(scanId: string, hash: Hash): Buffer {
    const scanned = this.#lastScan(scanId);
    const spooled = scanned.spool.get(hash);
    if (spooled) return spooled;
    scanned.where ??= whereOf(scanned.files);
    const place = scanned.where.get(hash);
    if (!place) throw new Refused("unknown_scan", "There is no such object in this scan.");
    const piece = Buffer.allocUnsafe(place.length);
    try {
      const fd = openSync(
        onDisk(this.#place, place.path),
        constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
      );
      try {
        readWhole(fd, piece, place.at);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      throw new Refused("changed", `${place.path}: ${codeOf(error)}`);
    }
    if (hashOf(piece) !== hash) throw new Refused("changed", `${place.path} changed while it was saved.`);
    return piece;
  }

  /** The scan's contents are stored (or given up), and what was held for it may go. */
  done(scanId: string, committed: boolean): void {
    if (this.#last?.id !== scanId) return;
    if (committed) this.#storedPages = this.#last.pages;
    this.#last = null;
  }

  #lastScan(scanId: string): Scanned {
    if (this.#last?.id !== scanId) throw new Refused("unknown_scan", "There is no such scan, or a newer one.");
    return this.#last;
  }

  async #read(
    path: string,
    request: ScanRequest,
    work: Turns,
    spool: Spool,
  ): Promise<{ entry: Known; stats: Stats; changed: boolean }> {
    for (let attempt = 1; ; attempt++) {
      // A name can become a pipe or a link between the listing and now: neither is followed or waited for.
      const fd = openSync(onDisk(this.#place, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        const before = fstatSync(fd);
        if (!before.isFile()) throw Object.assign(new Error("not a file"), { code: "not a file any more" });
        if (before.size > request.maxFileBytes)
          throw Object.assign(new Error("too large"), { code: `larger than ${request.maxFileBytes} bytes` });
        const length = pieceBytes(before.size);
        const pieces: Hash[] = [];
        let read = 0;
        while (read < before.size) {
          const piece = Buffer.allocUnsafe(Math.min(length, before.size - read));
          const got = readWhole(fd, piece, read, true);
          if (got < piece.length) break;
          const hash = hashOf(piece);
          pieces.push(hash);
          spool.offer(hash, piece);
          read += got;
          await work.pause();
        }
        const after = fstatSync(fd);
        const entry = { size: before.size, mtimeMs: after.mtimeMs, ctimeMs: after.ctimeMs, ino: after.ino, pieces };
        const whole = read === before.size;
        if (whole && same({ ...entry, size: before.size }, before) && after.size === before.size)
          return { entry, stats: after, changed: false };
        // What was read is whole in itself; only whether it ever was on the disk like that nobody knows.
        if (whole && attempt >= READS) return { entry: { ...entry, ino: -1 }, stats: after, changed: true };
        if (attempt >= READS * 2) throw Object.assign(new Error("shrinks"), { code: "changes all the time" });
      } finally {
        closeSync(fd);
      }
    }
  }
}

/** Contents that are held: pages and the root always, pieces of files as long as there is room. */
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

/** Lets others work every few milliseconds. */
class Turns {
  readonly #signal: AbortSignal;
  #since = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async pause(): Promise<void> {
    if (performance.now() - this.#since < TURN_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#signal.aborted) throw new Refused("busy", "Somebody waits for this folder.");
    this.#since = performance.now();
  }
}

/** Lists the saved parts of a session's folder. Follows no link. */
class Walk {
  readonly others: SnapshotEntry[] = [];
  readonly skipped: { path: string; why: string }[] = [];
  skippedCount = 0;
  readonly #place: Place;
  readonly #request: ScanRequest;
  readonly #work: Turns;
  readonly #exclude: ReadonlySet<string>;
  readonly #files: { path: string; stats: Stats }[] = [];

  constructor(place: Place, request: ScanRequest, work: Turns) {
    this.#place = place;
    this.#request = request;
    this.#work = work;
    this.#exclude = new Set(request.exclude);
  }

  async run(): Promise<readonly { path: string; stats: Stats }[]> {
    const pending: string[] = [];
    for (const part of SAVED_PARTS) {
      if (lstatSync(onDisk(this.#place, part), { throwIfNoEntry: false })?.isDirectory()) pending.push(part);
    }
    for (const folder of pending) this.#note(folder);
    for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
      for (const path of this.#list(folder)) {
        if (this.#note(path)) pending.push(path);
        await this.#work.pause();
      }
    }
    return this.#files;
  }

  skip(path: string, why: string): void {
    this.skippedCount += 1;
    if (this.skipped.length < 20)
      this.skipped.push({ path: path.toWellFormed().slice(0, 1000), why: why.slice(0, 100) });
  }

  #list(folder: string): string[] {
    const excludes = folder === "workspace" || folder.startsWith("workspace/");
    let names: Buffer[];
    try {
      names = readdirSync(onDisk(this.#place, folder), { encoding: "buffer" });
    } catch (error) {
      this.skip(folder, codeOf(error));
      return [];
    }
    return names
      .map((name) => nameToText(Buffer.from(name.buffer, name.byteOffset, name.length)))
      .filter((name) => !(excludes && this.#exclude.has(name)))
      .map((name) => `${folder}/${name}`);
  }

  /** Writes down what a path is. True for a folder, to be listed. */
  #note(path: string): boolean {
    const full = onDisk(this.#place, path);
    const stats = lstatSync(full, { throwIfNoEntry: false });
    if (!stats) return false; // gone since it was listed
    if (!isSavedPath(path)) {
      this.skip(path, "path too long");
      return false;
    }
    if (stats.isFile()) {
      if (stats.size > this.#request.maxFileBytes) this.skip(path, `larger than ${this.#request.maxFileBytes} bytes`);
      else this.#files.push({ path, stats });
    } else if (stats.isDirectory()) {
      this.others.push({ t: "d", p: path, m: stats.mode & 0o1777, n: micros(stats) });
    } else if (stats.isSymbolicLink()) {
      const to = readlinkSync(full, { encoding: "buffer" });
      this.others.push({ t: "l", p: path, n: micros(stats), to: nameToText(Buffer.from(to)) });
    } else {
      this.skip(path, stats.isFIFO() ? "a pipe" : stats.isSocket() ? "a socket" : "a device");
    }
    if (this.#files.length + this.others.length > this.#request.maxEntries)
      throw new Refused("too_large", `There are more than ${this.#request.maxEntries} files and folders.`);
    return stats.isDirectory();
  }
}

function same(known: Known, stats: Stats): boolean {
  return (
    known.size === stats.size &&
    known.mtimeMs === stats.mtimeMs &&
    known.ctimeMs === stats.ctimeMs &&
    known.ino === stats.ino
  );
}

function micros(stats: Stats): number {
  return Math.round(stats.mtimeMs * 1000);
}

function hashOf(contents: Buffer): Hash {
  return createHash("sha256").update(contents).digest("base64url");
}

/** Fills the buffer from a place in a file. `short`: the file may end before. */
function readWhole(fd: number, into: Buffer, at: number, short = false): number {
  let filled = 0;
  while (filled < into.length) {
    const got = readSync(fd, into, filled, into.length - filled, at + filled);
    if (got === 0) break;
    filled += got;
  }
  if (filled < into.length && !short) throw Object.assign(new Error("shorter"), { code: "is shorter than it was" });
  return filled;
}

function whereOf(files: Scanned["files"]): Map<Hash, { path: string; at: number; length: number }> {
  const where = new Map<Hash, { path: string; at: number; length: number }>();
  for (const [path, { size, pieces }] of files) {
    const length = pieceBytes(size);
    for (const [index, hash] of pieces.entries())
      where.set(hash, { path, at: index * length, length: Math.min(length, size - index * length) });
  }
  return where;
}

function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}
