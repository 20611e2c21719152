import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hash, Restored, Scan, ScanRequest } from "@gantry/protocol/snapshot.ts";
import type { Buffer } from "node:buffer";
import { after } from "../base/guarded.ts";
import { Mirror } from "./mirror.ts";
import type { TranscriptPiece } from "./mirror.ts";
import { emptyFolder, removeFolder } from "../folders/remove-folder.ts";
import type { FolderRoots } from "../folders/session-folders.ts";
import { restore } from "./restore.ts";
import { Refused } from "./refused.ts";
import { Scanner } from "./scan.ts";

/** How long a prompt waits for a scan in progress before the scan is aborted. */
const PROMPT_WAITS_MS = 1_500;

/** A save without a request for this long counts as abandoned. */
const ABANDONED_MS = 10_000;

/** The file that holds the folder's name. By it a session recognizes the folder it worked in. */
const NAME_FILE = "folder.json";

/** This file exists while the folder is being restored. A folder that has it is incomplete and counts as missing. */
const TORN_FILE = "restoring";

/** A session's folder as snapshots see it: its name, the scans of its contents, and its restore. */
export class SessionFiles {
  /** Sends the transcript while the conversation goes on. */
  readonly mirror: Mirror;
  readonly #roots: FolderRoots;
  #scanner: Scanner;
  #scanning: { result: Promise<unknown>; giveWay: AbortController } | null = null;
  #restoring = false;
  /** Whether a run has ended whose files are not stored yet. */
  #unsaved = false;
  #lastAskedAt = 0;

  constructor(roots: FolderRoots, tell: (piece: TranscriptPiece) => void) {
    this.mirror = new Mirror(roots.base, tell);
    this.#roots = roots;
    this.#scanner = new Scanner(roots);
  }

  /** Name of the folder, created if needed; null when there is no folder, or an incomplete one. */
  folder(): string | null {
    const { base } = this.#roots;
    return existsSync(join(base, "engine")) && !existsSync(join(base, TORN_FILE)) ? nameOf(base) : null;
  }

  /** Whether a save is in progress that a stopping runner should wait for. */
  get saving(): boolean {
    return this.#unsaved && Date.now() - this.#lastAskedAt < ABANDONED_MS;
  }

  /** Call when a run has ended: from now on there is something to save. */
  runEnded(): void {
    this.mirror.stop();
    this.#unsaved = true;
    this.#lastAskedAt = Date.now();
  }

  /** Call before a run begins. Waits for a scan in progress, and aborts it when it takes too long. */
  async beforeRun(): Promise<void> {
    this.mirror.start();
    const scanning = this.#scanning;
    if (!scanning) return;
    const timer = after("scan", PROMPT_WAITS_MS, () => scanning.giveWay.abort());
    await scanning.result.catch(() => {});
    clearTimeout(timer);
  }

  /** Scans the folder. Throws `Refused` when there is no folder, or when another save or restore is in progress. */
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

  /** New objects of the last scan that are small enough to travel with its answer. */
  ahead(scan: string): Buffer[] {
    return this.#scanner.ahead(scan);
  }

  /** An object of the last scan. Throws `Refused`. */
  object(scan: string, hash: Hash): Buffer {
    this.#lastAskedAt = Date.now();
    return this.#scanner.object(scan, hash);
  }

  /** The session has stored the scan, or has given it up. */
  done(scan: string, committed: boolean): void {
    this.#scanner.done(scan, committed);
    this.#unsaved = false;
  }

  /** Replaces the folder's contents by those of the stream. The engine must not be running. Throws `Refused`. */
  async restore(stream: AsyncIterable<Uint8Array>): Promise<Omit<Restored, "runnerId">> {
    if (this.#scanning || this.#restoring) throw new Refused("busy", "Another save or restore is in progress.");
    this.#restoring = true;
    const { base, workspace } = this.#roots;
    try {
      mkdirSync(base, { recursive: true, mode: 0o700 });
      writeFileSync(join(base, TORN_FILE), "", { mode: 0o600 });
      rmSync(join(base, NAME_FILE), { force: true });
      for (const part of [workspace, ...["home", "engine", "tmp"].map((name) => join(base, name))])
        await emptyFolder(part);
      // The next run mounts its resources again, and only new outputs are uploaded.
      await removeFolder(join(base, "mnt"), join(base, ".trash"));
      const restored = await restore(this.#roots, stream);
      const folder = nameOf(base);
      rmSync(join(base, TORN_FILE));
      return { folder, ...restored };
    } finally {
      this.#scanner = new Scanner(this.#roots);
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
    // Missing or unreadable. The folder gets a new name, and the session decides what that means.
  }
  const id = randomUUID();
  writeFileSync(`${file}.new`, JSON.stringify({ id }), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return id;
}
