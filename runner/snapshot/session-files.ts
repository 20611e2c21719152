import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hash, Restored, Scan, ScanRequest } from "@gantry/protocol/snapshot.ts";
import type { Buffer } from "node:buffer";
import { Mirror } from "./mirror.ts";
import type { TranscriptPiece } from "./mirror.ts";
import { emptyFolder, removeFolder } from "./place.ts";
import type { Place } from "./place.ts";
import { restore } from "./restore.ts";
import { Refused } from "./refused.ts";
import { Scanner } from "./scan.ts";

/** How long a prompt waits for a scan in progress before the scan gives way. */
const PROMPT_WAITS_MS = 1_500;

/** A save that nobody goes on with is given up after this time. */
const ABANDONED_MS = 10_000;

/** The file that names a session's folder, so that a session knows the one it worked on from any other. */
const NAME_FILE = "folder.json";

/** Stands there while the folder is being restored: killed in the middle, it counts as not there. */
const TORN_FILE = "restoring";

/** A session's folder as snapshots see it: what it is called, what it holds, and how it comes back. */
export class SessionFiles {
  /** What is said, told while it is said. */
  readonly mirror: Mirror;
  readonly #place: Place;
  #scanner: Scanner;
  #scanning: { result: Promise<unknown>; giveWay: AbortController } | null = null;
  #restoring = false;
  /** A run has ended whose files are not stored yet. */
  #unsaved = false;
  #lastAskedAt = 0;

  constructor(place: Place, tell: (piece: TranscriptPiece) => void) {
    this.mirror = new Mirror(place.base, tell);
    this.#place = place;
    this.#scanner = new Scanner(place);
  }

  /** Name of the folder; null when there is none. One that has none yet gets one. */
  folder(): string | null {
    const { base } = this.#place;
    return existsSync(join(base, "engine")) && !existsSync(join(base, TORN_FILE)) ? nameOf(base) : null;
  }

  /** Whether something is under way that a runner that ends should wait for. */
  get saving(): boolean {
    return this.#unsaved && Date.now() - this.#lastAskedAt < ABANDONED_MS;
  }

  /** A run has ended: from now on there is something to save. */
  runEnded(): void {
    this.mirror.stop();
    this.#unsaved = true;
    this.#lastAskedAt = Date.now();
  }

  /** Before a run begins: a scan in progress may finish, but not take long. */
  async beforeRun(): Promise<void> {
    this.mirror.start();
    const scanning = this.#scanning;
    if (!scanning) return;
    const timer = setTimeout(() => scanning.giveWay.abort(), PROMPT_WAITS_MS);
    await scanning.result.catch(() => {});
    clearTimeout(timer);
  }

  /** Looks what the folder holds. */
  async scan(request: ScanRequest): Promise<Omit<Scan, "runnerId">> {
    this.#lastAskedAt = Date.now();
    const folder = this.folder();
    if (folder === null) throw new Refused("no_folder", "The session has no folder here.");
    if (this.#scanning || this.#restoring) throw new Refused("busy", "Another save or restore is in progress.");
    const giveWay = new AbortController();
    const result = this.#scanner.scan(request, giveWay.signal);
    this.#scanning = { result, giveWay };
    try {
      return { folder, ...(await result) };
    } finally {
      this.#scanning = null;
    }
  }

  /** What is new in the last scan, as far as it is little. */
  ahead(scan: string): Buffer[] {
    return this.#scanner.ahead(scan);
  }

  object(scan: string, hash: Hash): Buffer {
    this.#lastAskedAt = Date.now();
    return this.#scanner.object(scan, hash);
  }

  done(scan: string, committed: boolean): void {
    this.#scanner.done(scan, committed);
    this.#unsaved = false;
  }

  /** Replaces the folder by what the stream holds. The engine must not be alive. */
  async restore(stream: AsyncIterable<Uint8Array>): Promise<Omit<Restored, "runnerId">> {
    if (this.#scanning || this.#restoring) throw new Refused("busy", "Another save or restore is in progress.");
    this.#restoring = true;
    const { base, workspace } = this.#place;
    try {
      mkdirSync(base, { recursive: true, mode: 0o700 });
      writeFileSync(join(base, TORN_FILE), "", { mode: 0o600 });
      rmSync(join(base, NAME_FILE), { force: true });
      for (const part of [workspace, ...["home", "engine", "tmp"].map((name) => join(base, name))])
        await emptyFolder(part);
      // Mounted again before the next run, and only what is new is handed over.
      await removeFolder(join(base, "mnt"));
      const restored = await restore(this.#place, stream);
      const folder = nameOf(base);
      rmSync(join(base, TORN_FILE));
      return { folder, ...restored };
    } finally {
      this.#scanner = new Scanner(this.#place);
      this.#restoring = false;
    }
  }
}

function nameOf(base: string): string {
  const file = join(base, NAME_FILE);
  try {
    const { id } = JSON.parse(readFileSync(file, "utf8")) as { id?: unknown };
    if (typeof id === "string" && id !== "") return id.slice(0, 64);
  } catch {
    // None yet, or spoiled: it gets a new one, and the session decides what that means.
  }
  const id = randomUUID();
  writeFileSync(`${file}.new`, JSON.stringify({ id }), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return id;
}
