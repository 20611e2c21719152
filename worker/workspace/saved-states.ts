import type { ApiError } from "@gantry/protocol/error.ts";
import { NoSnapshotKey } from "../snapshots/keys.ts";
import { DamagedStore } from "../snapshots/packs.ts";
import type { Snapshots } from "../snapshots/snapshots.ts";
import type { Snapshot } from "../snapshots/tables.ts";
import { numberOf, textOf } from "../storage/sql.ts";
import type { Sql } from "../storage/sql.ts";
import type { Result, WorkspaceLog } from "./copy-session.ts";
import { Tree } from "./tree.ts";

/** Selects a saved state: the newest, or one named in one of three ways. */
export interface At {
  readonly snapshot_id?: string | undefined;
  readonly run_id?: string | undefined;
  /** Id of an event, or its `seq`. */
  readonly at_event?: string | number | undefined;
}

/** How long a reader waits for the save of a run that has just ended. */
const SAVE_WAIT_MS = 20_000;
/** How often it looks again if the log stays silent. */
const LOOK_AGAIN_MS = 1_000;

/** The saved states of a session: finds the one that a request means, and reads it. */
export class SavedStates {
  readonly #sql: Sql;
  readonly #snapshots: Snapshots;
  readonly #log: WorkspaceLog;

  constructor(sql: Sql, snapshots: Snapshots, log: WorkspaceLog) {
    this.#sql = sql;
    this.#snapshots = snapshots;
    this.#log = log;
  }

  /** Resolves when no save is pending, or after 20 s. A request right after a run means the files that the run left. */
  async settled(): Promise<void> {
    const until = Date.now() + SAVE_WAIT_MS;
    while (this.#snapshots.saving && Date.now() < until)
      await Promise.race([this.#log.changed(), new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))]);
  }

  /** The saved state that a request names. Waits for a pending save. */
  async find(at: At): Promise<Result<{ snapshot: Snapshot }>> {
    const named = Object.entries(at).filter(([, value]) => value !== undefined);
    if (named.length > 1)
      return refused({ code: "invalid_request", field: named[1]?.[0] ?? "", reason: "name one state, not several" });
    await this.settled();
    const { tables } = this.#snapshots;
    const found = (snapshot: Snapshot | null, what: string): Result<{ snapshot: Snapshot }> =>
      snapshot ? { ok: true, snapshot } : refused({ code: "not_found", what });
    if (at.snapshot_id !== undefined) return found(tables.get(at.snapshot_id), `Snapshot ${quoted(at.snapshot_id)}`);
    if (at.run_id !== undefined) return found(tables.ofRun(at.run_id), savedBy(at.run_id));
    if (at.at_event === undefined) return found(tables.latest(), "A saved state of this session");
    const cut = this.cut(at.at_event);
    return cut.ok ? found(tables.ofRun(cut.runId), savedBy(cut.runId)) : cut;
  }

  /** Where the log can be cut at an event: after the last run that had ended by then. */
  cut(event: string | number): Result<{ runId: string; seq: number }> {
    const seq = typeof event === "number" || /^\d{1,15}$/.test(event) ? Number(event) : this.#log.seqOf(event);
    if (seq === null) return refused({ code: "not_found", what: `Event ${quoted(event)}` });
    const query = "SELECT seq, run_id FROM events WHERE type = 'run.ended' AND seq <= ? ORDER BY seq DESC LIMIT 1";
    const ended = this.#sql.exec(query, seq).toArray()[0];
    return ended
      ? { ok: true, runId: textOf(ended, "run_id"), seq: numberOf(ended, "seq") }
      : refused({ code: "conflict", reason: `No run had ended by event ${quoted(event)}.` });
  }

  /** Reads the saved state that a request names. A store that fails gives an error, not an exception. */
  async read<T>(at: At, read: (tree: Tree, snapshot: Snapshot) => Promise<Result<T>>): Promise<Result<T>> {
    const state = await this.find(at);
    if (!state.ok) return state;
    return guarded(async () => {
      const reader = this.#snapshots.reader();
      return read(new Tree(reader, await reader.root(state.snapshot)), state.snapshot);
    });
  }
}

/** A failed result. */
export function refused(error: ApiError): { readonly ok: false; readonly error: ApiError } {
  return { ok: false, error };
}

/** Turns a store that does not answer, or answers with damaged contents, into a result. */
export async function guarded<T>(read: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DamagedStore || error instanceof NoSnapshotKey)) throw error;
    return refused({ code: "sandbox_unavailable", reason: "The saved files cannot be read at the moment." });
  }
}

/** A name in a message. */
export function quoted(name: string | number): string {
  return JSON.stringify(name);
}

/** A run has no saved state of its own if the next run followed at once, or if the state is too old to be kept. */
function savedBy(runId: string): string {
  return `A saved state that run ${quoted(runId)} left (GET .../snapshots lists those that are kept)`;
}
