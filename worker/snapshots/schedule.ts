import type { PendingSave, SnapshotMemory } from "./pending-save.ts";

/** Pause between a run's end and its save: the engine writes the last lines of its transcript just after it reports the end. */
const SETTLE_MS = 500;
/** How long a save may be put off by runs that follow: a save and a run compete for the same processor. */
const LATEST_MS = 5_000;
/** Pause before the first retry of a failed save; doubles with each attempt. */
const RETRY_MS = 1_000;
/** Number of attempts after which the log reports that saving fails. */
const TRIES = 7;
/** Pause between attempts from then on. */
const LATER_MS = 600_000;
/** Number of attempts after which the save is given up. */
const LATER_TRIES = 150;
/** The alarm looks again after this time, in case the session's object dies during a save. */
const WATCH_MS = 30_000;

/** What the schedule needs of the session. */
export interface ScheduleDeps {
  /** Keeps the pending save across restarts. */
  readonly settings: SnapshotMemory;
  /** Sets the one alarm of the snapshots, in milliseconds since 1970; null clears it. */
  readonly setAlarm: (at: number | null) => void;
  /** Id of the run in progress; null when there is none. */
  readonly runningRun: () => string | null;
  /** The run in progress has no engine: its files do not change until it gets an answer. */
  readonly isParked: () => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds between saves in a long run. */
  readonly everyMs: number;
}

/**
 * Decides when a save begins and when a failed one is tried again. The pending save is stored, so a save that is lost
 * with the session's object begins again at the next alarm. The times in memory only put a save off.
 */
export class SaveSchedule {
  readonly #deps: ScheduleDeps;
  /** When the save after a run begins; null when none is about to. */
  #dueAt: number | null = null;
  /** When the first of the runs ended that the save is for. */
  #unsavedSince: number | null = null;

  constructor(deps: ScheduleDeps) {
    this.#deps = deps;
  }

  /** A run begins: a long one is saved while it runs. */
  runStarted(runId: string): void {
    const { settings, setAlarm, now, everyMs } = this.#deps;
    if (settings.pendingSave()) return;
    settings.savePendingSave({ runId, mark: 0, attempts: 0 });
    setAlarm(now() + everyMs);
  }

  /** Files have changed and need a save. Call inside the transaction that ends the run. */
  wantSave(runId: string | null): void {
    const { settings, setAlarm, now } = this.#deps;
    settings.savePendingSave({ runId, mark: (settings.pendingSave()?.mark ?? 0) + 1, attempts: 0 });
    this.#unsavedSince ??= now();
    // Prompts in quick succession put the save off, but not for long.
    this.#dueAt = Math.min(now() + SETTLE_MS, this.#unsavedSince + LATEST_MS);
    setAlarm(this.#dueAt);
  }

  /** The save to begin now; null when there is none yet. Sets the alarm for the next look. */
  due(): PendingSave | null {
    const { settings, setAlarm, now } = this.#deps;
    const pending = settings.pendingSave();
    const putOffTo = pending && this.#putOffTo();
    if (putOffTo !== null) {
      setAlarm(putOffTo);
      return null;
    }
    this.#dueAt = null;
    this.#unsavedSince = null;
    setAlarm(pending && now() + WATCH_MS);
    return pending;
  }

  /** A save succeeded. Plans the next one if it was requested meanwhile or a run is in progress. Inside a transaction. */
  succeeded(save: PendingSave): void {
    const { settings, setAlarm, now, everyMs, runningRun } = this.#deps;
    if (settings.pendingSave()?.mark !== save.mark) return setAlarm(now());
    const running = this.isWorking ? runningRun() : null;
    settings.savePendingSave(running === null ? null : { runId: running, mark: save.mark, attempts: 0 });
    setAlarm(running === null ? null : now() + everyMs);
  }

  /**
   * A save failed. Plans the next attempt, or gives up when that is pointless (`isExhausted`) or was tried often enough.
   * Returns whether the log must report the failure. Inside a transaction.
   */
  failed(save: PendingSave, isExhausted: boolean): boolean {
    const { settings, setAlarm, now } = this.#deps;
    const attempts = save.attempts + 1;
    const givesUp = isExhausted || attempts >= LATER_TRIES;
    const pending = settings.pendingSave();
    if (pending && pending.mark !== save.mark) {
      // Another run requested a save meanwhile; that save has its own attempts.
      setAlarm(now());
    } else {
      settings.savePendingSave(givesUp ? null : { ...save, attempts });
      setAlarm(givesUp ? null : now() + (attempts >= TRIES ? LATER_MS : RETRY_MS * 2 ** save.attempts));
    }
    return givesUp || attempts === TRIES;
  }

  /** Whether an engine is changing files right now. */
  get isWorking(): boolean {
    return this.#deps.runningRun() !== null && !this.#deps.isParked();
  }

  /** Until when a pending save waits; null when it may begin. */
  #putOffTo(): number | null {
    const now = this.#deps.now();
    // Too early: called right after `wantSave`, or by an alarm that was set for an earlier save.
    if (this.#dueAt !== null && this.#dueAt > now) return this.#dueAt;
    const latest = (this.#unsavedSince ?? 0) + LATEST_MS;
    return this.isWorking && latest > now ? latest : null;
  }
}
