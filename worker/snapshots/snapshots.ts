import { newId } from "@gantry/protocol/ids.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Restored, ScanRequest, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { PendingSave, SnapshotMemory } from "./pending-save.ts";
import type { Sql, Transaction } from "../storage/sql.ts";
import type { KeyRing } from "./keys.ts";
import { collectGarbage } from "./gc.ts";
import { NoSnapshotKey } from "./keys.ts";
import { DamagedStore, PackReader } from "./packs.ts";
import type { PackStore } from "./packs.ts";
import { SnapshotReader } from "./reader.ts";
import { SnapshotFailed } from "./runner.ts";
import type { RunnerFiles } from "./runner.ts";
import { save } from "./save.ts";
import { SnapshotTables } from "./tables.ts";
import type { NewPack, Snapshot } from "./tables.ts";
import { Transcripts } from "./transcripts.ts";

type Welcome = Extract<Report, { type: "welcome" }>;
type FailedEvent = Extract<SessionEvent, { type: "workspace.snapshot_failed" }>;

/** After a run: the engine writes the last lines of its transcript a moment after it has said that it is done. */
const SETTLE_MS = 500;
/** How long the save after a run waits for the next ones to come to rest: both want the same processor. */
const LATEST_MS = 5_000;
/** First pause before a save is tried again; doubles. */
const RETRY_MS = 1_000;
/** Tries after which the log says that it does not work. */
const TRIES = 7;
/** From then on it is tried this often. */
const LATER_MS = 600_000;
const LATER_TRIES = 150;
/** A save in progress whose object dies is found again by the alarm after this time. */
const WATCH_MS = 30_000;
/** So many packs more than at the last time, and it is time to tidy up: the work stays small beside that of the saves. */
const TIDY_PACKS = 16;
/** A restore is tried this often before its run is given up. */
const RESTORE_TRIES = 5;

/** What one session gives to another. Plain data: it crosses from object to object. */
export interface SharedSnapshot {
  readonly snapshot: Snapshot;
  readonly packs: readonly NewPack[];
}

export interface SnapshotsDeps {
  readonly sql: Sql;
  readonly transaction: Transaction;
  readonly settings: SnapshotMemory;
  readonly store: PackStore;
  /** Read when it is needed: without a key everything else works. */
  readonly keys: () => KeyRing;
  readonly runner: RunnerFiles;
  readonly prefix: () => string;
  readonly limits: Omit<ScanRequest, "afresh">;
  readonly setAlarm: (at: number | null) => void;
  /** Writes into the log; inside a transaction. `announce` follows. */
  readonly append: (runId: string | null, event: SessionEvent) => void;
  readonly announce: () => void;
  readonly lastSeq: () => number;
  /** Whether a tool has given a result in a run after a `seq`. */
  readonly workedAfter: (runId: string, seq: number) => boolean;
  readonly runningRun: () => string | null;
  /** The run in progress has no engine: nothing of it changes before somebody answers. */
  readonly isParked: () => boolean;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** How many snapshots are kept. */
  readonly keep: number;
  /** Milliseconds between saves in a long run. */
  readonly everyMs: number;
  readonly report: (entry: Record<string, unknown>) => void;
}

/**
 * The session's files: saves them when a run ends and while a long one lasts, and brings them back when the sandbox is
 * a new one. What is to be done is stored; what is under way can be lost at any moment and is begun again.
 */
export class Snapshots {
  readonly tables: SnapshotTables;
  readonly transcripts: Transcripts;
  readonly #deps: SnapshotsDeps;
  #saving: Promise<void> | null = null;
  /** Whoever changes what is stored: one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** When the save after a run begins; null when none is about to. */
  #dueAt: number | null = null;
  /** When the first of the runs ended that this save is for. */
  #unsavedSince: number | null = null;
  #restoring: Promise<Restored> | null = null;
  /** How many links have asked for the session's files. */
  #prepared = 0;

  constructor(deps: SnapshotsDeps) {
    this.#deps = deps;
    this.tables = new SnapshotTables(deps.sql);
    this.transcripts = new Transcripts(deps.sql);
  }

  /** A run begins: if it takes long it is saved in between. */
  runStarted(runId: string): void {
    const { settings, setAlarm, now, everyMs } = this.#deps;
    if (settings.pendingSave()) return;
    settings.savePendingSave({ runId, mark: 0, attempts: 0 });
    setAlarm(now() + everyMs);
  }

  /**
   * A run has ended, or its engine has: what it left is to be saved. Inside the transaction that ends it. Null: files
   * were changed from outside.
   */
  wantSave(runId: string | null): void {
    const { settings, setAlarm, now } = this.#deps;
    settings.savePendingSave({ runId, mark: (settings.pendingSave()?.mark ?? 0) + 1, attempts: 0 });
    this.#unsavedSince ??= now();
    // Prompts that follow each other quickly put it off, but not for long.
    this.#dueAt = Math.min(now() + SETTLE_MS, this.#unsavedSince + LATEST_MS);
    setAlarm(this.#dueAt);
  }

  /** Call after `wantSave`, when it is stored, and from the alarm. */
  watch(): void {
    const { settings, setAlarm, now } = this.#deps;
    const pending = settings.pendingSave();
    // Another's time has come.
    if (pending && this.#dueAt !== null && this.#dueAt > now()) return setAlarm(this.#dueAt);
    const latest = (this.#unsavedSince ?? 0) + LATEST_MS;
    if (pending && this.#isWorking && latest > now()) return setAlarm(latest);
    this.#dueAt = null;
    this.#unsavedSince = null;
    if (!pending) return setAlarm(null);
    setAlarm(now() + WATCH_MS);
    if (this.#saving || this.#restoring) return;
    this.#saving = this.#inTurn(async () => {
      await this.#save(pending);
      await this.#tidy();
    }).finally(() => (this.#saving = null));
  }

  /** Resolves when nothing is being saved or written. */
  async idle(): Promise<void> {
    await this.#turn;
  }

  /** A reader of snapshots. One for each reading: it holds packs. */
  reader(): SnapshotReader {
    return new SnapshotReader(this.tables, new PackReader(this.#deps.store, this.#deps.keys()));
  }

  /**
   * Whether the runner that says welcome must be given the session's files first. Null: it has them. The promise
   * resolves when it has, and is rejected when that was tried often enough.
   */
  prepare(welcome: Pick<Welcome, "runnerId" | "folder">, runId: string | null): Promise<void> | null {
    const { settings } = this.#deps;
    this.#prepared += 1;
    if (welcome.folder === undefined) return null; // a runner of an earlier version
    const known = settings.folder();
    // Without a snapshot what the runner has is the best there is.
    if (welcome.folder !== null && (known === null || known === welcome.folder || !this.tables.latest())) {
      settings.saveFolder(welcome.folder);
      return null;
    }
    // The first run of a session: there is nothing yet.
    if (known === null && !this.tables.latest() && this.transcripts.empty) return null;
    return this.#prepare(welcome.runnerId, runId);
  }

  /** Whether a run has done something of which nothing came back: there had been no time to save it. */
  lacksWorkOf(runId: string): boolean {
    return this.#deps.workedAfter(runId, this.tables.latest()?.seq ?? 0);
  }

  /** The session's next run begins with the files of an earlier snapshot; the conversation in it is of then, too. */
  goBackTo(snapshot: Snapshot): Snapshot {
    if (this.#deps.runningRun() !== null) throw new SnapshotFailed("busy", "A run is in progress.");
    return this.#beginWith(snapshot, true);
  }

  /** @param otherTalk the conversation in it is another one than the newest: what is mirrored does not follow on it. */
  #beginWith({ root, files, bytes }: Pick<Snapshot, "root" | "files" | "bytes">, otherTalk: boolean): Snapshot {
    const { transaction, settings, lastSeq, now } = this.#deps;
    const snapshot = { id: newId("snapshot"), root, runId: null, seq: lastSeq(), at: now(), files, bytes };
    transaction(() => {
      this.tables.add(snapshot);
      if (otherTalk) this.transcripts.forget();
      // No folder has this name: whatever the runner has, it gets these files.
      settings.saveFolder(`from ${snapshot.id}`);
    });
    return snapshot;
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
    this.#beginWith(shared.snapshot, true);
  }

  /** Whether something is still to be saved. */
  get saving(): boolean {
    return this.#deps.settings.pendingSave() !== null && !this.#isWorking;
  }

  get #isWorking(): boolean {
    return this.#deps.runningRun() !== null && !this.#deps.isParked();
  }

  /** The session is deleted: nothing of it stays in the store that no other session holds. */
  async forget(): Promise<void> {
    await this.#deps.store.release(await this.#deps.store.held());
  }

  /** What the runner says of the session's files while it works. */
  hear(report: Extract<Report, { type: "folder" | "transcript" }>): void {
    if (report.type === "folder") this.#noteFolder(report.folder);
    else this.transcripts.store(report);
  }

  /** The runner has made the session's folder. Another than the one that is known counts when files were restored to it. */
  #noteFolder(folder: string): void {
    const { settings } = this.#deps;
    if (settings.folder() === null) settings.saveFolder(folder);
  }

  async #prepare(runnerId: string, runId: string | null): Promise<void> {
    const { report, pause } = this.#deps;
    const mine = this.#prepared;
    for (let attempt = 1; ; attempt++) {
      try {
        this.#restoring ??= this.#restore(runId).finally(() => (this.#restoring = null));
        const restored = await this.#restoring;
        if (restored.runnerId === runnerId) return;
        throw new SnapshotFailed("not_the_holder", "The sandbox changed while the files were brought back.");
      } catch (error) {
        report({ event: "restore_failed", attempt, error: String(error) });
        if (attempt >= RESTORE_TRIES) throw error;
        await pause(RETRY_MS * 2 ** (attempt - 1));
        // Another link has its files by now, and has gone on with them: what is older than those would replace them.
        if (mine !== this.#prepared) throw error;
      }
    }
  }

  async #restore(runId: string | null): Promise<Restored> {
    const { runner, settings, transaction, append, announce, now } = this.#deps;
    const startedAt = now();
    const snapshot = this.tables.latest();
    this.transcripts.cutTornLines();
    const reader = this.reader();
    const root: SnapshotRoot | null = snapshot && (await reader.root(snapshot));
    let cause: unknown = null;
    const stream = reader.stream(root, this.transcripts.pieces(), (error) => (cause = error));
    const restored = await runner.restore(stream).catch((error: unknown) => {
      throw cause ?? error;
    });
    if (restored.files < (root?.files ?? 0)) throw new SnapshotFailed("bad_contents", "Not all files came back.");
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

  #missing(hadSnapshot: boolean, restored: Restored): string[] {
    const { exclude } = this.#deps.limits;
    return [
      hadSnapshot ? "changes of files after the snapshot" : "all files: none had been saved",
      ...(exclude.length > 0 ? [`what is not saved: ${exclude.join(", ")}`] : []),
      "the home folder and temporary files of the sandbox, and what ran in it",
      ...restored.gaps.map((file) => `the end of ${file}`),
    ];
  }

  async #save(wanted: PendingSave): Promise<void> {
    const { settings, transaction, append, announce, now, setAlarm, report, runner } = this.#deps;
    const startedAt = now();
    const { attempts } = wanted;
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
            throw new SnapshotFailed("not_the_holder", "This sandbox does not hold the session any more.");
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
        this.#next(wanted);
      });
      announce();
      await runner
        .done(scan.scan, true)
        .catch((error: unknown) => report({ event: "save_not_told", error: String(error) }));
    } catch (error) {
      const failure = toFailure(error);
      report({ event: "save_failed", attempts, error: String(error) });
      transaction(() => {
        const gone = failure.error.retry_status.type === "exhausted" || attempts + 1 >= LATER_TRIES;
        if (gone || attempts + 1 === TRIES) append(run, failure);
        // Another run may have asked meanwhile; its own tries are not these.
        const pending = settings.pendingSave();
        if (pending && pending.mark !== wanted.mark) return setAlarm(now());
        settings.savePendingSave(gone ? null : { ...wanted, attempts: attempts + 1 });
        setAlarm(gone ? null : now() + (attempts + 1 >= TRIES ? LATER_MS : RETRY_MS * 2 ** attempts));
      });
      announce();
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => {});
    return mine;
  }

  /** From time to time: removes what no kept snapshot needs. */
  async #tidy(): Promise<void> {
    const { settings, keys, report, keep } = this.#deps;
    const packs = this.tables.packs().length;
    if (packs < settings.tidyAtPacks() || this.#restoring) return;
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

  /** After a save: the next one, if it was asked for meanwhile or a run is in progress. */
  #next(made: PendingSave): void {
    const { settings, setAlarm, now, everyMs } = this.#deps;
    if (settings.pendingSave()?.mark !== made.mark) return setAlarm(now());
    const running = this.#isWorking ? this.#deps.runningRun() : null;
    settings.savePendingSave(running === null ? null : { runId: running, mark: made.mark, attempts: 0 });
    setAlarm(running === null ? null : now() + everyMs);
  }
}

/** What the log says of a failed save. */
function toFailure(error: unknown): FailedEvent {
  const failed = (
    type: FailedEvent["error"]["type"],
    message: string,
    retry: "retrying" | "exhausted" = "retrying",
  ): FailedEvent => ({
    type: "workspace.snapshot_failed",
    error: { type, message, retry_status: { type: retry } },
  });
  if (error instanceof NoSnapshotKey) return failed("not_configured", error.message, "exhausted");
  if (error instanceof SnapshotFailed) {
    switch (error.code) {
      case "too_large":
        return failed("too_large", error.message, "exhausted");
      case "bad_contents":
      case "bad_restore":
        return failed("bad_contents", error.message);
      case "no_folder":
      case "not_the_holder":
        return failed("sandbox_unavailable", error.message, "exhausted");
      case "busy":
      case "changed":
      case "unknown_scan":
      case "failed":
      case "unreachable":
        return failed("sandbox_unavailable", error.message);
      default:
        error.code satisfies never;
    }
  }
  // What the store says may name its insides.
  const message = error instanceof DamagedStore ? error.message : "The store of snapshots did not take it.";
  return failed("store_unavailable", message);
}
