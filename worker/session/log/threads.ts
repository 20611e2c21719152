import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { EventLog } from "./event-log.ts";
import type { NewEvent } from "./new-event.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";

/**
 * - `running`: from its start, and again whenever it gets more work.
 * - `idle`: it has answered or was stopped; it may get more work.
 * - `terminated`: final; it was archived, or its runner is gone.
 */
export type ThreadStatus = "running" | "idle" | "terminated";

/** A thread other than the primary one. Times are milliseconds since 1970. */
export interface Thread {
  readonly id: string;
  /** Its number in the order of creation: the cursor of lists. */
  readonly order: number;
  readonly parent: string;
  readonly agentName: string;
  /** The session whose log is this thread; null for a sub-agent of the engine. */
  readonly peer: string | null;
  readonly status: ThreadStatus;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly archivedAt: number | null;
  readonly activeMs: number;
  readonly usage: ModelUsage;
}

/** Maximum number of threads kept per session. What a runner reports beyond it appears on the primary thread only. */
const MAX_THREADS = 1_000;

/** The threads of this session, as its log reports them. Call the writing methods inside the transaction of the events. */
export class Threads {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Updates the rows from events. */
  note(events: readonly NewEvent[]): void {
    for (const { at, event } of events) this.#note(event, at);
  }

  get(id: string): Thread | null {
    const row = this.#sql.exec("SELECT * FROM threads WHERE id = ?", id).toArray()[0];
    return row ? this.#toThread(row, Date.now()) : null;
  }

  /** Threads with one of the statuses, in the order of creation, after a position in it. */
  list(after: number, limit: number, statuses: readonly string[] | null): Thread[] {
    const where = statuses === null ? "" : `AND status IN (${statuses.map(() => "?").join(", ")})`;
    return this.#sql
      .exec(`SELECT * FROM threads WHERE place > ? ${where} ORDER BY place LIMIT ?`, after, ...(statuses ?? []), limit)
      .toArray()
      .map((row) => this.#toThread(row, Date.now()));
  }

  archive(id: string, now: number): void {
    this.#sql.exec(
      "UPDATE threads SET archived_at = ?, updated_at = ?, status = 'terminated' WHERE id = ? AND archived_at IS NULL",
      now,
      now,
      id,
    );
  }

  /** The runner is gone, and the engine's sub-agents with it: marks them and writes events. Inside a transaction. */
  abandon({ log, now, newEventId }: { log: EventLog; now: () => number; newEventId: () => string }): void {
    const rows = this.#sql.exec("SELECT * FROM threads WHERE status = 'running' AND peer IS NULL").toArray();
    const events = rows.map((row) => ({
      id: newEventId(),
      runId: null,
      at: now(),
      event: {
        type: "session.thread_status_terminated" as const,
        session_thread_id: textOf(row, "id"),
        agent_name: textOf(row, "agent_name"),
      },
    }));
    log.append(events);
    this.note(events);
  }

  /**
   * Adds the tokens of a sub-agent's model call; `taskId` is the sandbox's claim of which sub-agent that is. The call may
   * end before its thread is in the log, so the tokens are kept; `usage` counts them once there is such a thread.
   */
  count(taskId: string, usage: ModelUsage): void {
    this.#sql.exec(
      `INSERT INTO thread_usage SELECT ?, ?, ?, ?, ?
        WHERE (SELECT COUNT(*) FROM thread_usage) < ? OR EXISTS (SELECT 1 FROM thread_usage WHERE task_id = ?)
        ON CONFLICT (task_id) DO UPDATE SET input = input + excluded.input,
        output = output + excluded.output, cache_creation = cache_creation + excluded.cache_creation,
        cache_read = cache_read + excluded.cache_read`,
      taskId,
      usage.input_tokens,
      usage.output_tokens,
      usage.cache_creation_input_tokens,
      usage.cache_read_input_tokens,
      MAX_THREADS,
      taskId,
    );
  }

  /** Tokens of all sub-agents that have a thread, or of one of them. */
  usage(taskId?: string): ModelUsage {
    const where = taskId === undefined ? "" : "AND task_id = ?";
    const row = this.#sql
      .exec(
        `SELECT SUM(input) AS input, SUM(output) AS output, SUM(cache_creation) AS cache_creation,
          SUM(cache_read) AS cache_read FROM thread_usage
          WHERE task_id IN (SELECT task_id FROM threads) ${where}`,
        ...(taskId === undefined ? [] : [taskId]),
      )
      .toArray()[0];
    return {
      input_tokens: numberOf(row, "input"),
      output_tokens: numberOf(row, "output"),
      cache_creation_input_tokens: numberOf(row, "cache_creation"),
      cache_read_input_tokens: numberOf(row, "cache_read"),
    };
  }

  #note(event: SessionEvent, at: number): void {
    switch (event.type) {
      case "session.thread_created":
        this.#sql.exec(
          `INSERT OR IGNORE INTO threads (id, parent, agent_name, task_id, peer, status, created_at, updated_at)
            SELECT ?, ?, ?, ?, ?, 'idle', ?, ? WHERE (SELECT COUNT(*) FROM threads) < ?`,
          event.session_thread_id,
          event.parent_thread_id,
          event.agent_name,
          event.task_id,
          event.peer_session_id,
          at,
          at,
          MAX_THREADS,
        );
        return;
      case "session.thread_status_running":
        this.#sql.exec(
          `UPDATE threads SET status = 'running', updated_at = ?, running_since = ?
            WHERE id = ? AND status = 'idle' AND archived_at IS NULL`,
          at,
          at,
          event.session_thread_id,
        );
        return;
      case "session.thread_status_idle":
        return this.#stop(event.session_thread_id, "idle", at);
      case "session.thread_status_terminated":
        return this.#stop(event.session_thread_id, "terminated", at);
      default:
        return;
    }
  }

  #stop(id: string, status: ThreadStatus, at: number): void {
    this.#sql.exec(
      `UPDATE threads SET status = ?, updated_at = ?, active_ms = active_ms + MAX(0, ? - running_since), running_since = NULL
        WHERE id = ? AND status = 'running'`,
      status,
      at,
      at,
      id,
    );
  }

  #toThread(row: Row, now: number): Thread {
    const since = numberOf(row, "running_since");
    const taskId = textOf(row, "task_id");
    return {
      id: textOf(row, "id"),
      order: numberOf(row, "place"),
      parent: textOf(row, "parent"),
      agentName: textOf(row, "agent_name"),
      peer: textOf(row, "peer") || null,
      status: textOf(row, "status") as ThreadStatus,
      createdAt: numberOf(row, "created_at"),
      updatedAt: numberOf(row, "updated_at"),
      archivedAt: numberOf(row, "archived_at") || null,
      activeMs: numberOf(row, "active_ms") + (since === 0 ? 0 : Math.max(0, now - since)),
      usage: this.usage(taskId),
    };
  }
}
