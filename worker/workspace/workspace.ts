import { RpcTarget } from "cloudflare:workers";
import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { SessionResource } from "../resources/session-resource.ts";
import type { SessionSetup } from "../catalog/session-setup.ts";
import type { Sql, Transaction } from "../storage/sql.ts";
import type { Snapshots } from "../snapshots/snapshots.ts";
import type { Snapshot } from "../snapshots/tables.ts";
import { archive } from "./archive.ts";
import { copySession } from "./copy-session.ts";
import type { ForkPlan, Result, Source, WorkspaceLog } from "./copy-session.ts";
import { diff } from "./diff.ts";
import type { Change } from "./diff.ts";
import { toEntry } from "./entry.ts";
import type { WorkspaceEntry } from "./entry.ts";
import { exportPart } from "./fork.ts";
import type { Cursor, Part } from "./fork.ts";
import type { RunnerFolder } from "./runner-folder.ts";
import { SavedStates, guarded, quoted, refused } from "./saved-states.ts";
import type { At } from "./saved-states.ts";
import { agrees } from "./tags.ts";
import { pathOf } from "./tree.ts";

/** What a workspace needs of its session. */
export interface WorkspaceDeps {
  readonly sql: Sql;
  readonly transaction: Transaction;
  readonly snapshots: Snapshots;
  readonly folder: RunnerFolder;
  readonly log: WorkspaceLog;
  readonly sessionId: string;
  /** Creates the session's tables. */
  readonly createTables: () => void;
  readonly setup: () => SessionSetup;
  readonly saveSetup: (setup: SessionSetup) => void;
  readonly resources: () => readonly SessionResource[];
  readonly addResource: (resource: SessionResource) => void;
  /** Id of the engine's conversation. */
  readonly engineSessionId: () => string;
  /** Makes the next run begin with a new link. False while a run is in progress or queued. */
  readonly release: () => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * A session's files as the API sees them. Reading uses the saved files and needs no sandbox. Changing happens in the
 * sandbox, where the live files are, and is saved before the call returns.
 */
export class Workspace extends RpcTarget {
  readonly #deps: WorkspaceDeps;
  readonly #states: SavedStates;

  constructor(deps: WorkspaceDeps) {
    super();
    this.#deps = deps;
    this.#states = new SavedStates(deps.sql, deps.snapshots, deps.log);
  }

  /** Kept saved states, oldest first. Waits for a pending save. */
  async snapshots(): Promise<Snapshot[]> {
    await this.#states.settled();
    return this.#deps.snapshots.tables.all();
  }

  /** The contents of a folder, sorted by path, from after a path on. `more`: the limit was reached. */
  async list(
    at: At,
    asked: {
      readonly path: string;
      readonly recursive: boolean;
      readonly after?: string | undefined;
      readonly limit: number;
    },
  ): Promise<Result<{ snapshot: Snapshot; entries: WorkspaceEntry[]; more: boolean }>> {
    return this.#states.read(at, async (tree, snapshot) => {
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

  /** A file's metadata. */
  async stat(at: At, path: string): Promise<Result<{ snapshot: Snapshot; entry: WorkspaceEntry }>> {
    return this.#states.read(at, async (tree, snapshot) => {
      const found = await tree.find(path);
      if (!found || pathOf(found) === null) return refused({ code: "not_found", what: `File ${quoted(path)}` });
      const entry = await toEntry(found);
      if (found.t !== "f")
        return refused({ code: "conflict", reason: `${quoted(path)} is a ${entry.type}, not a file.` });
      return { ok: true, snapshot, entry };
    });
  }

  /** The bytes of a file from `from` (inclusive) to `to` (exclusive). */
  async read(at: At, path: string, from: number, to: number): Promise<Result<{ body: ReadableStream<Uint8Array> }>> {
    return this.#states.read(at, async (tree) => {
      const found = await tree.find(path);
      if (found?.t !== "f") return refused({ code: "not_found", what: `File ${quoted(path)}` });
      return { ok: true, body: tree.contents(found, from, to) };
    });
  }

  /** A folder as a zip file. */
  async archive(at: At, path: string): Promise<Result<{ snapshot: Snapshot; body: ReadableStream<Uint8Array> }>> {
    return this.#states.read(at, async (tree, snapshot) => {
      if (path !== "" && (await tree.find(path))?.t !== "d")
        return refused({ code: "not_found", what: `Folder ${quoted(path)}` });
      return { ok: true, snapshot, body: archive(tree, path) };
    });
  }

  /** What changed: in a run, between two saved states, or since the session began. */
  async diff(asked: {
    readonly run_id?: string | undefined;
    readonly from?: string | undefined;
    readonly to?: string | undefined;
  }): Promise<Result<{ from: Snapshot | null; to: Snapshot; changes: Change[]; truncated: boolean }>> {
    const { snapshots } = this.#deps;
    const to = await this.#states.find({ run_id: asked.run_id, snapshot_id: asked.to });
    if (!to.ok) return to;
    const from = asked.from === undefined ? null : await this.#states.find({ snapshot_id: asked.from });
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

  /** Writes a file. Resolves when it is saved. `existed`: it replaced another file. */
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

  /** Removes a file, or a folder with everything in it. Resolves when that is saved. */
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

  /** What a fork of this session at an event needs first. The log follows with `part`. */
  async planFork(sessionId: string, at: string | number | undefined): Promise<Result<ForkPlan>> {
    const cut = this.#states.cut(at ?? Number.MAX_SAFE_INTEGER);
    if (!cut.ok) return cut;
    const state = await this.#states.find({ run_id: cut.runId });
    if (!state.ok) return state;
    const { setup, resources, engineSessionId, snapshots } = this.#deps;
    const shared = await snapshots.shareWith(sessionId, state.snapshot);
    // Credentials are sealed for this session only, so a fork does not get them.
    const mounts = resources().map((resource) => ({ ...resource, secret: null }));
    const taken = { shared, seq: cut.seq, resources: mounts, engineSessionId: engineSessionId() };
    return { ok: true, ...taken, setup: setup() };
  }

  /** Fills this session, which does not exist yet, with a copy of another session of the same account. */
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

  /** One part of the copy: rows of the log and its related tables, up to a `seq`. */
  part(seq: number, cursor: Cursor): Part {
    return exportPart(this.#deps.sql, seq, cursor);
  }

  /** Sets the session back to an older saved state; see the event `session.rewound`. */
  async rewind(to: At): Promise<Result<object>> {
    const { snapshots, transaction, log, now, release } = this.#deps;
    const busy = refused({ code: "conflict", reason: "A run is in progress or queued; cancel it first." });
    if (!release()) return busy;
    const state = await this.#states.find(to);
    if (!state.ok) return state;
    // A run may have been queued meanwhile.
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
    await this.#states.settled();
  }
}
