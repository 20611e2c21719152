import { newId } from "@gantry/protocol/ids.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Sql } from "../storage/sql.ts";
import { failureEvent } from "./failure.ts";
import { collectGarbage } from "./gc.ts";
import type { KeyRing } from "./keys.ts";
import { PackReader } from "./packs.ts";
import type { PackStore } from "./packs.ts";
import type { PendingSave } from "./pending-save.ts";
import { SnapshotReader } from "./reader.ts";
import { Restorer } from "./restore.ts";
import type { RestoreDeps, Welcome } from "./restore.ts";
import { SnapshotFailed } from "./runner.ts";
import { save } from "./save.ts";
import { SaveSchedule } from "./schedule.ts";
import type { ScheduleDeps } from "./schedule.ts";
import { SnapshotTables } from "./tables.ts";
import type { NewPack, Snapshot } from "./tables.ts";
import { Transcripts } from "./transcripts.ts";

/** Garbage is collected after this many new packs, so that it stays cheap compared with the saves. */
const TIDY_PACKS = 16;

/** What one session gives to another. Plain data: it crosses from object to object. */
export interface SharedSnapshot {
  readonly snapshot: Snapshot;
  readonly packs: readonly NewPack[];
}

/** What snapshots need of their session. */
export interface SnapshotsDeps extends ScheduleDeps, RestoreDeps {
  readonly sql: Sql;
  readonly store: PackStore;
  /** Read only when needed: without a key everything else works. */
  readonly keys: () => KeyRing;
  /** Prefix of the keys of this session's packs. */
  readonly prefix: () => string;
  readonly lastSeq: () => number;
  /** Whether a tool has given a result in a run after a `seq`. */
  readonly workedAfter: (runId: string, seq: number) => boolean;
  /** Number of snapshots that are kept. */
  readonly keep: number;
}

/**
 * The session's files: saved when a run ends and during a long run, and restored to a new sandbox. What must be done is
 * stored. Work in progress can be lost at any moment and begins again.
 */
export class Snapshots {
  readonly tables: SnapshotTables;
  readonly transcripts: Transcripts;
  readonly #deps: SnapshotsDeps;
  readonly #schedule: SaveSchedule;
  readonly #restorer: Restorer;
  #saving: Promise<void> | null = null;
  /** Changes to the stored snapshots happen one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: SnapshotsDeps) {
    this.#deps = deps;
    this.tables = new SnapshotTables(deps.sql);
    this.transcripts = new Transcripts(deps.sql);
    this.#schedule = new SaveSchedule(deps);
    const { tables, transcripts } = this;
    this.#restorer = new Restorer(deps, { tables, transcripts, reader: () => this.reader() });
  }

  /** A run begins: a long one is saved while it runs. */
  runStarted(runId: string): void {
    this.#schedule.runStarted(runId);
  }

  /**
   * A run or its engine has ended, and its files need a save. Call inside the transaction that ends it, then call
   * `watch`. Null: files were changed through the API.
   */
  wantSave(runId: string | null): void {
    this.#schedule.wantSave(runId);
  }

  /** Begins the save that is due, if any. Call after `wantSave` is committed, and from the alarm. */
  watch(): void {
    const pending = this.#schedule.due();
    if (!pending || this.#saving || this.#restorer.isRestoring) return;
    this.#saving = this.#inTurn(async () => {
      await this.#save(pending);
      await this.#tidy();
    }).finally(() => (this.#saving = null));
  }

  /** Resolves when nothing is being saved or written. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  /** Makes a reader of snapshots. Use one per read: it holds packs in memory. */
  reader(): SnapshotReader {
    return new SnapshotReader(this.tables, new PackReader(this.#deps.store, this.#deps.keys()));
  }

  /**
   * Restores the session's files to the runner that says welcome, if it lacks them. Null: it has them, or there are none.
   * The promise resolves when the runner has the files, and rejects after several failed attempts.
   */
  prepare(welcome: Pick<Welcome, "runnerId" | "folder">, runId: string | null): Promise<void> | null {
    return this.#restorer.prepare(welcome, runId);
  }

  /** Whether a run has done work that the newest snapshot does not contain. */
  lacksWorkOf(runId: string): boolean {
    return this.#deps.workedAfter(runId, this.tables.latest()?.seq ?? 0);
  }

  /** The session's next run begins with the files and the conversation of an earlier snapshot. */
  goBackTo(snapshot: Snapshot): Snapshot {
    if (this.#deps.runningRun() !== null) throw new SnapshotFailed("busy", "A run is in progress.");
    return this.#beginWith(snapshot);
  }

  /** Gives a snapshot to another session of the same account. Its contents are shared, not copied. */
  async shareWith(sessionId: string, snapshot: Snapshot): Promise<SharedSnapshot> {
    const packs = this.tables.packs().map(({ id, ...pack }) => ({ ...pack, objects: this.tables.objectsOf(id) }));
    await this.#deps.store.share(
      sessionId,
      packs.map((pack) => pack.key),
    );
    return { snapshot, packs };
  }

  /** Takes a shared snapshot as this session's newest: its next sandbox begins with these files. */
  take(shared: SharedSnapshot): void {
    this.#deps.transaction(() => {
      for (const pack of shared.packs) this.tables.addPack(pack);
    });
    this.#beginWith(shared.snapshot);
  }

  /** Whether a save is still to be made. */
  get saving(): boolean {
    return this.#deps.settings.pendingSave() !== null && !this.#schedule.isWorking;
  }

  /** The session is deleted: releases its packs, so that those no other session holds are removed. */
  async forget(): Promise<void> {
    await this.#deps.store.release(await this.#deps.store.held());
  }

  /** Stores what the runner reports about the session's files while it works. */
  hear(report: Extract<Report, { type: "folder" | "transcript" }>): void {
    if (report.type === "folder") this.#noteFolder(report.folder);
    else this.transcripts.store(report);
  }

  /** The runner has made the session's folder. A folder other than the known one counts only after a restore to it. */
  #noteFolder(folder: string): void {
    const { settings } = this.#deps;
    if (settings.folder() === null) settings.saveFolder(folder);
  }

  /** Makes a snapshot the newest. Its conversation is another one, so the mirrored transcripts do not continue it. */
  #beginWith({ root, files, bytes }: Snapshot): Snapshot {
    const { transaction, settings, lastSeq, now } = this.#deps;
    const snapshot = { id: newId("snapshot"), root, runId: null, seq: lastSeq(), at: now(), files, bytes };
    transaction(() => {
      this.tables.add(snapshot);
      this.transcripts.forget();
      // No folder has this name, so any runner gets these files restored.
      settings.saveFolder(`from ${snapshot.id}`);
    });
    return snapshot;
  }

  async #save(wanted: PendingSave): Promise<void> {
    const { settings, transaction, append, announce, now, report, runner } = this.#deps;
    const startedAt = now();
    const run = this.#deps.runningRun() ?? wanted.runId;
    const seq = this.#deps.lastSeq();
    try {
      const saved = await save({
        ...this.#deps,
        tables: this.tables,
        keys: this.#deps.keys(),
        prefix: this.#deps.prefix(),
        checkHolder: (scan) => {
          this.#noteFolder(scan.folder);
          if (settings.folder() !== scan.folder)
            throw new SnapshotFailed("not_the_holder", "This sandbox no longer holds the session.");
        },
      });
      const { scan, root } = saved;
      const before = this.tables.latest();
      const event: SessionEvent = {
        type: "workspace.snapshot",
        snapshot_id: newId("snapshot"),
        files: root.files,
        bytes: root.bytes,
        new_bytes: saved.newBytes,
        duration_ms: now() - startedAt,
        skipped: scan.skipped.map(({ path, why }) => ({ path, reason: why })),
        skipped_count: scan.skippedCount,
      };
      transaction(() => {
        const { files, bytes } = root;
        this.tables.add({ id: event.snapshot_id, root: scan.root, runId: run, seq, at: now(), files, bytes });
        this.transcripts.prune(scan.transcripts);
        if (before?.root !== scan.root) append(run, event);
        this.#schedule.succeeded(wanted);
      });
      announce();
      await runner
        .done(scan.scan, true)
        .catch((error: unknown) => report({ event: "save_not_told", error: String(error) }));
    } catch (error) {
      const failure = failureEvent(error);
      report({ event: "save_failed", attempts: wanted.attempts, error: String(error) });
      transaction(() => {
        const isExhausted = failure.error.retry_status.type === "exhausted";
        if (this.#schedule.failed(wanted, isExhausted)) append(run, failure);
      });
      announce();
    }
  }

  /** Now and then: removes what no kept snapshot needs. */
  async #tidy(): Promise<void> {
    const { settings, keys, report, keep } = this.#deps;
    const packs = this.tables.packs().length;
    if (packs < settings.tidyAtPacks() || this.#restorer.isRestoring) return;
    try {
      const done = await collectGarbage({
        ...this.#deps,
        tables: this.tables,
        keys: keys(),
        reader: this.reader(),
        prefix: this.#deps.prefix(),
        keep,
      });
      report({ event: "snapshots_tidied", ...done });
    } catch (error) {
      report({ event: "snapshots_not_tidied", error: String(error) });
    }
    settings.saveTidyAtPacks(this.tables.packs().length + Math.max(TIDY_PACKS, keep));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => {});
    return mine;
  }
}
