import type { Sql, Transaction } from "../../storage/sql.ts";
import type { EventLog } from "../log/event-log.ts";
import type { Threads } from "../log/threads.ts";
import type { Approvals } from "../store/approvals.ts";
import type { Lease } from "../store/lease.ts";
import type { Resources } from "../store/resources.ts";
import type { RunQueue } from "../store/run-queue.ts";
import type { Settings } from "../store/settings.ts";

/** The stored state of a session. Each part owns its tables. */
export interface SessionParts {
  readonly sql: Sql;
  readonly sessionId: string;
  readonly transaction: Transaction;
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly lease: Lease;
  readonly approvals: Approvals;
  readonly threads: Threads;
  readonly settings: Settings;
  readonly resources: Resources;
}
