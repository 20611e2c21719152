import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { SessionSetup } from "../catalog/session-setup.ts";
import type { Sql, Transaction } from "../storage/sql.ts";
import type { ApiError } from "@gantry/protocol/error.ts";
import type { SessionResource } from "../resources/session-resource.ts";
import type { SharedSnapshot, Snapshots } from "../snapshots/snapshots.ts";
import { FIRST_PART, importPart } from "./fork.ts";
import type { Part, Place } from "./fork.ts";

export type Result<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly error: ApiError };

/** What a session that is forked hands to the new one before its log. */
export interface ForkPlan {
  readonly shared: SharedSnapshot;
  /** The log is cut behind this. */
  readonly seq: number;
  readonly setup: SessionSetup;
  readonly resources: readonly SessionResource[];
  readonly engineSessionId: string;
}

/** The part of a session's event log that its workspace uses. */
export interface WorkspaceLog {
  /** Writes events; call inside the transaction of the change they report. */
  append(events: readonly { id: string; runId: string | null; at: number; event: SessionEvent }[]): unknown;
  announce(): void;
  /** Resolves when something is written. */
  changed(): Promise<void>;
  /** `seq` of an event's id; null for an unknown one. */
  seqOf(id: string): number | null;
}

/** The session that is copied, in another object. */
export interface Source {
  planFork(sessionId: string, at: string | number | undefined): Promise<Result<ForkPlan>>;
  part(seq: number, place: Place): Promise<Part>;
}

export interface Copy {
  readonly sessionId: string;
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
 * Takes over what another session hands out. The session's own row comes last: what is torn in the middle was never a
 * session, and nobody was told its id.
 */
export async function copySession(from: Source, fork: SessionFork, copy: Copy): Promise<Result<object>> {
  const { sql, transaction, log, snapshots, sessionId, source } = copy;
  const planned = await from.planFork(sessionId, fork.at_event ?? undefined);
  if (!planned.ok) return planned;
  transaction(() => copy.createTables());
  for (let place: Place | null = FIRST_PART; place !== null;) {
    const part: Part = await from.part(planned.seq, place);
    transaction(() => importPart(sql, part));
    place = part.next;
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
