import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Restored, ScanRequest, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { Transaction } from "../storage/sql.ts";
import type { SnapshotMemory } from "./pending-save.ts";
import type { SnapshotReader } from "./reader.ts";
import { SnapshotFailed } from "./runner.ts";
import type { RunnerFiles } from "./runner.ts";
import type { SnapshotTables } from "./tables.ts";
import type { Transcripts } from "./transcripts.ts";

/** What a runner says when a link to it opens. */
export type Welcome = Extract<Report, { type: "welcome" }>;

/** Number of attempts before the run that needs the files is given up. */
const TRIES = 5;
/** Pause before the first retry; doubles with each attempt. */
const RETRY_MS = 1_000;

/** What a restore needs of the session. */
export interface RestoreDeps {
  readonly settings: SnapshotMemory;
  readonly transaction: Transaction;
  readonly runner: RunnerFiles;
  readonly limits: Omit<ScanRequest, "afresh">;
  /** Writes into the log; inside a transaction. `announce` follows. */
  readonly append: (runId: string | null, event: SessionEvent) => void;
  readonly announce: () => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** Writes an entry to the operator's log. */
  readonly report: (entry: Record<string, unknown>) => void;
}

/** Where the saved files are. */
interface SavedFiles {
  readonly tables: SnapshotTables;
  readonly transcripts: Transcripts;
  readonly reader: () => SnapshotReader;
}

/**
 * Brings the session's files into a sandbox that does not have them. The folder's name decides: the session knows the
 * name of the folder that holds its files, and a new sandbox has a folder of another name.
 */
export class Restorer {
  readonly #deps: RestoreDeps;
  readonly #saved: SavedFiles;
  /** The restore in progress. Links that need the files at the same time share it. */
  #restoring: Promise<Restored> | null = null;
  /** How many links have asked for the session's files. */
  #links = 0;

  constructor(deps: RestoreDeps, saved: SavedFiles) {
    this.#deps = deps;
    this.#saved = saved;
  }

  /** Whether a restore is in progress. */
  get isRestoring(): boolean {
    return this.#restoring !== null;
  }

  /** See `Snapshots.prepare`. */
  prepare(welcome: Pick<Welcome, "runnerId" | "folder">, runId: string | null): Promise<void> | null {
    const { settings } = this.#deps;
    const { tables, transcripts } = this.#saved;
    this.#links += 1;
    if (welcome.folder === undefined) return null; // a runner of an earlier version
    const known = settings.folder();
    // Without a snapshot, what the runner has is the best there is.
    if (welcome.folder !== null && (known === null || known === welcome.folder || !tables.latest())) {
      settings.saveFolder(welcome.folder);
      return null;
    }
    // The session's first run: nothing has been saved yet.
    if (known === null && !tables.latest() && transcripts.empty) return null;
    return this.#retry(welcome.runnerId, runId);
  }

  async #retry(runnerId: string, runId: string | null): Promise<void> {
    const { report, pause } = this.#deps;
    const link = this.#links;
    for (let attempt = 1; ; attempt++) {
      try {
        this.#restoring ??= this.#restore(runId).finally(() => (this.#restoring = null));
        const restored = await this.#restoring;
        if (restored.runnerId === runnerId) return;
        throw new SnapshotFailed("not_the_holder", "The sandbox changed while the files were being restored.");
      } catch (error) {
        report({ event: "restore_failed", attempt, error: String(error) });
        if (attempt >= TRIES) throw error;
        await pause(RETRY_MS * 2 ** (attempt - 1));
        // Another link has restored the files by now and worked on them: this restore would overwrite that work.
        if (link !== this.#links) throw error;
      }
    }
  }

  async #restore(runId: string | null): Promise<Restored> {
    const { runner, settings, transaction, append, announce, now } = this.#deps;
    const { tables, transcripts } = this.#saved;
    const startedAt = now();
    const snapshot = tables.latest();
    transcripts.cutTornLines();
    const reader = this.#saved.reader();
    const root: SnapshotRoot | null = snapshot && (await reader.root(snapshot));
    let cause: unknown = null;
    const stream = reader.stream(root, transcripts.pieces(), (error) => (cause = error));
    const restored = await runner.restore(stream).catch((error: unknown) => {
      throw cause ?? error;
    });
    if (restored.files < (root?.files ?? 0)) throw new SnapshotFailed("bad_contents", "Not all files were restored.");
    transaction(() => {
      settings.saveFolder(restored.folder);
      append(runId, {
        type: "session.restored",
        snapshot_id: snapshot?.id ?? null,
        snapshot_seq: snapshot?.seq ?? 0,
        files: restored.files,
        bytes: restored.bytes,
        transcript_lines: restored.transcriptLines,
        duration_ms: now() - startedAt,
        missing: this.#missing(snapshot !== null, restored),
      });
    });
    announce();
    return restored;
  }

  /** What the restored sandbox lacks, for the reader of the event. */
  #missing(hadSnapshot: boolean, restored: Restored): string[] {
    const { exclude } = this.#deps.limits;
    return [
      hadSnapshot ? "changes of files after the snapshot" : "all files: none had been saved",
      ...(exclude.length > 0 ? [`names excluded from snapshots: ${exclude.join(", ")}`] : []),
      "the sandbox's home folder, temporary files and running processes",
      ...restored.gaps.map((file) => `the end of ${file}`),
    ];
  }
}
