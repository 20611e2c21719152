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

/** What the driver works with: the session's state, the way to its runner, and the outside world. */
export interface DriverDeps {
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly lease: Lease;
  readonly approvals: Approvals;
  readonly threads: Threads;
  readonly peers: Peers;
  /** Called inside the transaction that ends a run. */
  readonly onEnded: (run: Run) => void;
  /** The triage of a run before it is sent. */
  readonly triage: TriageDeps;
  readonly transaction: Transaction;
  /** The session's files. Absent: nothing is saved or restored. */
  readonly files?: Pick<Snapshots, "prepare" | "hear" | "runStarted" | "wantSave" | "lacksWorkOf">;
  readonly dial: (
    hello: { epoch: number; cursor: { runnerId: string; frame: number } | null },
    handlers: LinkHandlers,
  ) => Promise<Link>;
  /** Sets the alarm, or removes it. */
  readonly setAlarm: (at: number | null) => void;
  readonly now: () => number;
  readonly newEventId: () => string;
  /** @param offered the token of an engine that is running already; it is kept if it is a token of this session. */
  readonly newToken: (offered: string | undefined) => string;
  readonly engineSessionId: () => string;
  /** Files and repositories that the runner mounts before a run begins. */
  readonly mounts: () => Mount[];
  /** `token` replaces the session's own where the path to the models identifies the session by itself. */
  readonly models: (model: string) => { baseUrl: string; token?: string; contextTokens?: number };
  /** Idle time after which the engine is ended; undefined: the runner's default. */
  readonly idleMs: () => number | undefined;
  readonly deadlineMs: number;
  readonly report: (entry: Record<string, unknown>) => void;
}
