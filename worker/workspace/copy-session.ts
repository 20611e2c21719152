import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { SessionSetup } from "../catalog/session-setup.ts";
import type { Sql, Transaction } from "../storage/sql.ts";
import type { ApiError } from "@gantry/protocol/error.ts";
import type { SessionResource } from "../resources/session-resource.ts";
import type { SharedSnapshot, Snapshots } from "../snapshots/snapshots.ts";
import { START, importPart } from "./fork.ts";
import type { Cursor, Part } from "./fork.ts";

/** What a call of a session returns: values, or an error for the API. Errors do not survive a call between objects. */
export type Result<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: ApiError };

/** What a fork gets of the original session before its log. */
export interface ForkPlan {
  readonly shared: SharedSnapshot;
  /** The fork's log ends with this `seq` of the original's. */
  readonly seq: number;
  readonly setup: SessionSetup;
  readonly resources: readonly SessionResource[];
  /** Id of the engine's conversation. */
  readonly engineSessionId: string;
}

/** The part of a session's event log that its workspace uses. */
export interface WorkspaceLog {
  /** Writes events; call inside the transaction of the change they report. */
  append(events: readonly { id: string; runId: string | null; at: number; event: SessionEvent }[]): unknown;
  /** Wakes the readers of the log. */
  announce(): void;
  /** Resolves when the next event is written. */
  changed(): Promise<void>;
  /** `seq` of an event's id; null for an unknown one. */
  seqOf(id: string): number | null;
}

/** The original session, in another object. */
export interface Source {
  /** Shares the snapshot and returns what else the fork needs first. `at`: id or `seq` of an event; absent: the end. */
  planFork(sessionId: string, at: string | number | undefined): Promise<Result<ForkPlan>>;
  /** Rows of the log up to a `seq`. */
  part(seq: number, cursor: Cursor): Promise<Part>;
}

/** The fork: where the copy is written. */
export interface Copy {
  readonly sessionId: string;
  /** Id of the original session. */
  readonly source: string;
  readonly sql: Sql;
  readonly transaction: Transaction;
  readonly log: WorkspaceLog;
  readonly createTables: () => void;
  readonly snapshots: Snapshots;
  /** Writes the session's own row, without which it does not exist. Inside a transaction. */
  readonly begin: (plan: ForkPlan, setup: SessionSetup) => void;
}

/**
 * Copies another session into this one. The session's own row is written last: a copy that is interrupted never becomes
 * a session, and no client has its id.
 */
export async function copySession(from: Source, fork: SessionFork, copy: Copy): Promise<Result<object>> {
  const { sql, transaction, log, snapshots, sessionId, source } = copy;
  const planned = await from.planFork(sessionId, fork.at_event ?? undefined);
  if (!planned.ok) return planned;
  transaction(() => copy.createTables());
  for (let cursor: Cursor | null = START; cursor !== null;) {
    const part: Part = await from.part(planned.seq, cursor);
    transaction(() => importPart(sql, part));
    cursor = part.next;
  }
  const now = Date.now();
  const setup: SessionSetup = {
    ...planned.setup,
    title: fork.title === undefined ? planned.setup.title : fork.title,
    metadata: fork.metadata ?? planned.setup.metadata,
    archivedAt: null,
    updatedAt: now,
  };
  const event: SessionEvent = { type: "session.forked", from_session_id: source, from_seq: planned.seq };
  transaction(() => {
    log.append([{ id: newId("event"), runId: null, at: now, event }]);
    snapshots.take(planned.shared);
    copy.begin(planned, setup);
  });
  return { ok: true };
}
