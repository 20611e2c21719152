import type { Mount } from "@gantry/protocol/mount.ts";
import type { Snapshots } from "../../snapshots/snapshots.ts";
import type { Approvals } from "../store/approvals.ts";
import type { EventLog } from "../log/event-log.ts";
import type { TriageDeps } from "./gate.ts";
import type { Lease } from "../store/lease.ts";
import type { Link, LinkHandlers } from "../link/dial.ts";
import type { Peers } from "./peers.ts";
import type { Run, RunQueue } from "../store/run-queue.ts";
import type { Transaction } from "../../storage/sql.ts";
import type { Threads } from "../log/threads.ts";

/** What the driver of a session works with: its state, the way to its runner, and the world outside. */
export interface DriverDeps {
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly lease: Lease;
  readonly approvals: Approvals;
  readonly threads: Threads;
  readonly peers: Peers;
  /** A run is ending, inside the transaction of its end. */
  readonly onEnded: (run: Run) => void;
  /** Who looks at a run before it is sent. */
  readonly triage: TriageDeps;
  readonly transaction: Transaction;
  /** The session's files; without it nothing is saved or brought back. */
  readonly files?: Pick<Snapshots, "prepare" | "hear" | "runStarted" | "wantSave" | "lacksWorkOf">;
  readonly dial: (
    hello: { epoch: number; cursor: { runnerId: string; frame: number } | null },
    handlers: LinkHandlers,
  ) => Promise<Link>;
  /** Sets the one alarm, or takes it away. */
  readonly setAlarm: (at: number | null) => void;
  readonly now: () => number;
  readonly newEventId: () => string;
  /** @param offered what an engine that is there already shows; taken over when it is a token of this session. */
  readonly newToken: (offered: string | undefined) => string;
  readonly engineSessionId: () => string;
  /** What must be in the sandbox before a run begins. */
  readonly mounts: () => Mount[];
  /** `token` in place of the session's own, where the way to the models knows the session by itself. */
  readonly models: (model: string) => { baseUrl: string; token?: string; contextTokens?: number };
  /** When an engine without a prompt is ended; undefined: as the runner does. */
  readonly idleMs: () => number | undefined;
  readonly deadlineMs: number;
  readonly report: (entry: Record<string, unknown>) => void;
}
