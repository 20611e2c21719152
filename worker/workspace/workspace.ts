import { RpcTarget } from "cloudflare:workers";
import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ApiError } from "@gantry/protocol/error.ts";
import type { SnapshotEntry, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { SessionResource } from "../resources/session-resource.ts";
import type { SessionSetup } from "../catalog/session-setup.ts";
import { numberOf, textOf } from "../storage/sql.ts";
import type { Sql, Transaction } from "../storage/sql.ts";
import { NoSnapshotKey } from "../snapshots/keys.ts";
import { DamagedStore } from "../snapshots/packs.ts";
import type { Snapshots } from "../snapshots/snapshots.ts";
import type { Snapshot } from "../snapshots/tables.ts";
import { archive } from "./archive.ts";
import { copySession } from "./copy-session.ts";
import type { ForkPlan, Result, Source, WorkspaceLog } from "./copy-session.ts";
import { diff } from "./diff.ts";
import type { Change } from "./diff.ts";
import { exportPart } from "./fork.ts";
import type { Part, Place } from "./fork.ts";
import type { RunnerFolder } from "./runner-folder.ts";
import { agrees } from "./tags.ts";
import { Tree, pathOf, tagOf } from "./tree.ts";

/** Which saved state is meant: the newest, or the one named in one of three ways. */
export interface At {
  readonly snapshot_id?: string | undefined;
  readonly run_id?: string | undefined;
  /** Id of an event, or its `seq`. */
  readonly at_event?: string | number | undefined;
}

/** A file, folder or link as the API tells it. */
export interface WorkspaceEntry {
  readonly path: string;
  readonly type: "file" | "directory" | "symlink";
  readonly size: number | null;
  /** Octal, as `chmod` takes it. */
  readonly mode: string | null;
  readonly modified_at: string;
  readonly target: string | null;
  readonly etag: string | null;
}

export interface WorkspaceDeps {
  readonly sql: Sql;
  readonly transaction: Transaction;
  readonly snapshots: Snapshots;
  readonly folder: RunnerFolder;
  readonly log: WorkspaceLog;
  readonly sessionId: string;
  readonly createTables: () => void;
  readonly setup: () => SessionSetup;
  readonly saveSetup: (setup: SessionSetup) => void;
  readonly resources: () => readonly SessionResource[];
  readonly addResource: (resource: SessionResource) => void;
  readonly engineSessionId: () => string;
  /** Has the next run begin with a new link. False while one is in progress or waits. */
  readonly release: () => boolean;
  readonly now: () => number;
}

/** How long a reader waits for the save of a run that has just ended. */
const SAVE_WAIT_MS = 20_000;
const LOOK_AGAIN_MS = 1_000;

/**
 * A session's files, for whoever looks at them from outside. They are read as they were saved, which needs no sandbox;
 * they are changed in the sandbox, because there they live, and saved then.
 */
export class Workspace extends RpcTarget {
  readonly #deps: WorkspaceDeps;

  constructor(deps: WorkspaceDeps) {
    super();
    this.#deps = deps;
  }

  /** Saved states that are kept, oldest first. */
  async snapshots(): Promise<Snapshot[]> {
    await this.#saved();
    return this.#deps.snapshots.tables.all();
  }

  /** The saved state that is meant. */
  async resolve(at: At): Promise<Result<{ snapshot: Snapshot }>> {
    const named = Object.entries(at).filter(([, value]) => value !== undefined);
    if (named.length > 1)
      return refused({ code: "invalid_request", field: named[1]?.[0] ?? "", reason: "name one state, not several" });
    await this.#saved();
    const { tables } = this.#deps.snapshots;
    const found = (snapshot: Snapshot | null, what: string): Result<{ snapshot: Snapshot }> =>
      snapshot ? { ok: true, snapshot } : refused({ code: "not_found", what });
    if (at.snapshot_id !== undefined) return found(tables.get(at.snapshot_id), `Snapshot ${quoted(at.snapshot_id)}`);
    if (at.run_id !== undefined) return found(tables.ofRun(at.run_id), savedBy(at.run_id));
    if (at.at_event === undefined) return found(tables.latest(), "A saved state of this session");
    const cut = this.cut(at.at_event);
    return cut.ok ? found(tables.ofRun(cut.runId), savedBy(cut.runId)) : cut;
  }

  /** Where the log can be cut at an event: behind the last run that had ended by then. */
  cut(event: string | number): Result<{ runId: string; seq: number }> {
    const { log, sql } = this.#deps;
    const seq = typeof event === "number" || /^\d{1,15}$/.test(event) ? Number(event) : log.seqOf(event);
    if (seq === null) return refused({ code: "not_found", what: `Event ${quoted(event)}` });
    const query = "SELECT seq, run_id FROM events WHERE type = 'run.ended' AND seq <= ? ORDER BY seq DESC LIMIT 1";
    const ended = sql.exec(query, seq).toArray()[0];
    return ended
      ? { ok: true, runId: textOf(ended, "run_id"), seq: numberOf(ended, "seq") }
      : refused({ code: "conflict", reason: `No run had ended by event ${quoted(event)}.` });
  }

  /** What lies in a folder. */
  async list(
    at: At,
    asked: {
      readonly path: string;
      readonly recursive: boolean;
      readonly after?: string | undefined;
      readonly limit: number;
    },
  ): Promise<Result<{ snapshot: Snapshot; entries: WorkspaceEntry[]; more: boolean }>> {
    return this.#within(at, async (tree, snapshot) => {
      const folder = await tree.find(asked.path);
      if (asked.path !== "" && folder?.t !== "d")
        return refused({ code: "not_found", what: `Folder ${quoted(asked.path)}` });
      const entries: WorkspaceEntry[] = [];
      for await (const entry of tree.list(asked.path, asked.recursive, asked.after)) {
        if (entries.length === asked.limit) return { ok: true, snapshot, entries, more: true };
        entries.push(await toEntry(entry));
      }
      return { ok: true, snapshot, entries, more: false };
    });
  }

  /** One file, without its bytes. */
  async stat(at: At, path: string): Promise<Result<{ snapshot: Snapshot; entry: WorkspaceEntry }>> {
    return this.#within(at, async (tree, snapshot) => {
      const found = await tree.find(path);
      if (!found || pathOf(found) === null) return refused({ code: "not_found", what: `File ${quoted(path)}` });
      const entry = await toEntry(found);
      if (found.t !== "f")
        return refused({ code: "conflict", reason: `${quoted(path)} is a ${entry.type}, not a file.` });
      return { ok: true, snapshot, entry };
    });
  }

  /** Bytes `from` (included) to `to` (not) of a file of a saved state. */
  async read(at: At, path: string, from: number, to: number): Promise<Result<{ body: ReadableStream<Uint8Array> }>> {
    return this.#within(at, async (tree) => {
      const found = await tree.find(path);
      if (found?.t !== "f") return refused({ code: "not_found", what: `File ${quoted(path)}` });
      return { ok: true, body: tree.contents(found, from, to) };
    });
  }

  /** A folder as a zip file. */
  async archive(at: At, path: string): Promise<Result<{ snapshot: Snapshot; body: ReadableStream<Uint8Array> }>> {
    return this.#within(at, async (tree, snapshot) => {
      if (path !== "" && (await tree.find(path))?.t !== "d")
        return refused({ code: "not_found", what: `Folder ${quoted(path)}` });
      return { ok: true, snapshot, body: archive(tree, path) };
    });
  }

  /** What changed: by a run, between two saved states, or since the session began. */
  async diff(asked: {
    readonly run_id?: string | undefined;
    readonly from?: string | undefined;
    readonly to?: string | undefined;
  }): Promise<Result<{ from: Snapshot | null; to: Snapshot; changes: Change[]; truncated: boolean }>> {
    const { snapshots } = this.#deps;
    const to = await this.resolve({ run_id: asked.run_id, snapshot_id: asked.to });
    if (!to.ok) return to;
    const from = asked.from === undefined ? null : await this.resolve({ snapshot_id: asked.from });
    if (from && !from.ok) return from;
    const before = from ? from.snapshot : asked.run_id === undefined ? null : snapshots.tables.before(to.snapshot);
    return guarded(async () => {
      const side = snapshots.reader();
      const roots: [SnapshotRoot | null, SnapshotRoot] = [
        before && (await side.root(before)),
        await side.root(to.snapshot),
      ];
      const found = await diff(roots[0] && { reader: side, root: roots[0] }, { reader: side, root: roots[1] });
      return { ok: true, from: before, to: to.snapshot, ...found };
    });
  }

  /** The body becomes a file of the workspace. Comes back when that is saved. */
  async write(
    path: string,
    body: ReadableStream<Uint8Array>,
    conditions: { readonly ifMatch?: string | undefined; readonly ifNoneMatch?: string | undefined },
  ): Promise<Result<{ entry: WorkspaceEntry; existed: boolean }>> {
    const before = await this.stat({}, path);
    const etag = before.ok ? `"${before.entry.etag}"` : null;
    const header = !agrees(conditions.ifMatch, etag, true)
      ? "If-Match"
      : !agrees(conditions.ifNoneMatch, etag, false)
        ? "If-None-Match"
        : null;
    if (header !== null) {
      await body.cancel();
      return refused({ code: "precondition_failed", header });
    }
    const written = await this.#deps.folder.put(path, body);
    if (!written.ok) return written;
    await this.#saveNow();
    const after = await this.stat({}, path);
    return after.ok ? { ok: true, entry: after.entry, existed: before.ok } : after;
  }

  /** Takes a file away, or a folder with all that is in it. */
  async remove(path: string, ifMatch: string | undefined): Promise<Result<object>> {
    if (ifMatch !== undefined) {
      const before = await this.stat({}, path);
      if (!agrees(ifMatch, before.ok ? `"${before.entry.etag}"` : null, true))
        return refused({ code: "precondition_failed", header: "If-Match" });
    }
    const removed = await this.#deps.folder.remove(path);
    if (removed.ok) await this.#saveNow();
    return removed;
  }

  /** What another session of the account needs to begin where this one stood. Its log follows with `part`. */
  async planFork(sessionId: string, at: string | number | undefined): Promise<Result<ForkPlan>> {
    const cut = this.cut(at ?? Number.MAX_SAFE_INTEGER);
    if (!cut.ok) return cut;
    const state = await this.resolve({ run_id: cut.runId });
    if (!state.ok) return state;
    const { setup, resources, engineSessionId, snapshots } = this.#deps;
    const shared = await snapshots.shareWith(sessionId, state.snapshot);
    // Their credentials are sealed for this session alone.
    const mounts = resources().map((resource) => ({ ...resource, secret: null }));
    const taken = { shared, seq: cut.seq, resources: mounts, engineSessionId: engineSessionId() };
    return { ok: true, ...taken, setup: setup() };
  }

  /** Fills this session, which does not exist yet, with what another of the account hands out. */
  copyFrom(from: Source, account: string, source: string, fork: SessionFork): Promise<Result<object>> {
    const { sql, sessionId, saveSetup, addResource, now } = this.#deps;
    return copySession(from, fork, {
      ...this.#deps,
      source,
      begin: (plan, setup) => {
        const insert = "INSERT INTO session (id, account, created_at, engine_session_id) VALUES (?, ?, ?, ?)";
        sql.exec(insert, sessionId, account, now(), plan.engineSessionId);
        saveSetup(setup);
        for (const resource of plan.resources) addResource(resource);
      },
    });
  }

  /** A part of the log (and of what goes with it) up to a `seq`. */
  part(seq: number, place: Place): Part {
    return exportPart(this.#deps.sql, seq, place);
  }

  /** The session goes on from an older state; see `session.rewound`. */
  async rewind(to: At): Promise<Result<object>> {
    const { snapshots, transaction, log, now, release } = this.#deps;
    const busy = refused({ code: "conflict", reason: "A run is in progress or waits; cancel it first." });
    if (!release()) return busy;
    const state = await this.resolve(to);
    if (!state.ok) return state;
    // One may have come meanwhile.
    if (!release()) return busy;
    const { id, runId, seq } = state.snapshot;
    const event: SessionEvent = { type: "session.rewound", snapshot_id: id, run_id: runId, to_seq: seq };
    transaction(() => {
      snapshots.goBackTo(state.snapshot);
      log.append([{ id: newId("event"), runId: null, at: now(), event }]);
    });
    log.announce();
    return { ok: true };
  }

  async #saveNow(): Promise<void> {
    const { snapshots, transaction } = this.#deps;
    transaction(() => snapshots.wantSave(null));
    await this.#saved();
  }

  async #within<T>(at: At, read: (tree: Tree, snapshot: Snapshot) => Promise<Result<T>>): Promise<Result<T>> {
    const resolved = await this.resolve(at);
    if (!resolved.ok) return resolved;
    return guarded(async () => {
      const reader = this.#deps.snapshots.reader();
      return read(new Tree(reader, await reader.root(resolved.snapshot)), resolved.snapshot);
    });
  }

  /** A run that has just ended is being saved: whoever asks now means what it left. */
  async #saved(): Promise<void> {
    const until = Date.now() + SAVE_WAIT_MS;
    while (this.#deps.snapshots.saving && Date.now() < until)
      await Promise.race([this.#deps.log.changed(), new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS))]);
  }
}

function refused(error: ApiError): { readonly ok: false; readonly error: ApiError } {
  return { ok: false, error };
}

/** A store that does not answer, or not with what was put there, is an error that is told. */
async function guarded<T>(read: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof DamagedStore || error instanceof NoSnapshotKey)) throw error;
    return refused({ code: "sandbox_unavailable", reason: "The saved files cannot be read at the moment." });
  }
}

async function toEntry(entry: SnapshotEntry): Promise<WorkspaceEntry> {
  const common = { path: pathOf(entry) ?? "", modified_at: new Date(entry.n / 1000).toISOString() };
  switch (entry.t) {
    case "f": {
      const [mode, etag] = [entry.m.toString(8), await tagOf(entry)];
      return { ...common, type: "file", size: entry.s, mode, target: null, etag };
    }
    case "d":
      return { ...common, type: "directory", size: null, mode: entry.m.toString(8), target: null, etag: null };
    case "l":
      return { ...common, type: "symlink", size: null, mode: null, target: entry.to, etag: null };
  }
}

/** A run that was followed by the next at once, or long ago, has none of its own. */
function savedBy(runId: string): string {
  return `A saved state that run ${quoted(runId)} left (GET .../snapshots lists those that are kept)`;
}

function quoted(name: string | number): string {
  return JSON.stringify(name);
}
