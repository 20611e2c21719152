import { PromptBlock } from "@gantry/protocol/content.ts";
import type { RunError, RunEnded } from "@gantry/protocol/run-end.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import { triage } from "../../triage/triage.ts";
import type { TriagePrompt, TriageStep, Verdict } from "../../triage/triage.ts";
import type { EventLog } from "../log/event-log.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { Run, RunQueue } from "../store/run-queue.ts";
import { textOf } from "../../storage/sql.ts";
import type { Sql, Transaction } from "../../storage/sql.ts";

/** The outcome of triage for a run. */
export interface Looked {
  /** Events for the log, in order. */
  readonly events: readonly SessionEvent[];
  /** How the run ends, when no sandbox is needed. */
  readonly ended: RunEnded | null;
  /** Text that goes to the engine with the prompt. */
  readonly context: string | null;
}

/** What the driver does after triage. */
export interface Onward {
  /** Ends the run. Called inside the transaction that writes the events. */
  readonly end: (run: Run, ended: RunEnded, event: NewEvent) => void;
  /** Something has changed. */
  readonly goOn: () => void;
}

/** The triage steps of a session, and whose session it is. */
export interface TriageDeps {
  readonly sql: Sql;
  readonly steps: readonly TriageStep[];
  readonly owner: () => Pick<TriagePrompt, "account" | "sessionId">;
}

interface GateDeps {
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly triage: TriageDeps;
  readonly transaction: Transaction;
  readonly now: () => number;
  readonly newEventId: () => string;
}

/**
 * Stands between the queue and the sandbox: no run is sent to a runner before triage has looked at it. The decision is
 * stored. After a crash before that, triage looks again, which is harmless: it only reads.
 */
export class Gate {
  readonly #deps: GateDeps;
  readonly #onward: Onward;
  /** The run that triage is looking at. */
  #lookingAt: string | null = null;

  constructor(deps: GateDeps, onward: Onward) {
    this.#deps = deps;
    this.#onward = onward;
  }

  /** Whether a run has to wait. Starts triage, which calls `goOn` when it is done. */
  holds(run: Run): boolean {
    const { sql, steps } = this.#deps.triage;
    if (steps.length === 0 || run.sentTo !== null) return false;
    if (sql.exec("SELECT 1 FROM triage WHERE run_id = ?", run.id).toArray().length > 0) return false;
    if (this.#lookingAt === run.id) return true;
    this.#lookingAt = run.id;
    this.#look(run)
      .then((looked) => this.#decided(run.id, looked))
      // The decision could not be stored: the run is still held, and the alarm tries again.
      .catch(() => {});
    return true;
  }

  /** The prompt of a run with the context that triage has added. */
  promptOf(run: Run): PromptBlock[] {
    const rows = this.#deps.triage.sql.exec("SELECT context FROM triage WHERE run_id = ?", run.id).toArray();
    const text = textOf(rows[0], "context");
    return [...(text === "" ? [] : [{ type: "text" as const, text }]), ...this.#asSent(run)];
  }

  #asSent(run: Run): PromptBlock[] {
    const { content } = JSON.parse(this.#deps.log.payload(run.promptSeq)) as { content: unknown };
    return PromptBlock.array().parse(content);
  }

  /** Never rejects. */
  async #look(run: Run): Promise<Looked> {
    const {
      now,
      triage: { sql, steps, owner },
    } = this.#deps;
    const startedAt = now();
    const text = this.#asSent(run)
      .flatMap((block) => (block.type === "text" ? [block.text] : []))
      .join("\n\n");
    const door = textOf(sql.exec("SELECT trigger FROM runs WHERE id = ?", run.id).toArray()[0], "trigger");
    return this.#toLooked(await triage(steps, { ...owner(), text, door }), now() - startedAt);
  }

  /** Stores the decision, and lets the run continue or end, unless it has ended in the meantime. */
  #decided(runId: string, looked: Looked): void {
    const { log, queue, transaction, now, newEventId } = this.#deps;
    if (this.#lookingAt === runId) this.#lookingAt = null;
    const run = queue.running();
    if (run?.id !== runId) return;
    const toNew = (event: SessionEvent & { id?: string }): NewEvent => ({
      id: event.id ?? newEventId(),
      runId,
      at: now(),
      event,
    });
    transaction(() => {
      this.#deps.triage.sql.exec(
        "INSERT OR REPLACE INTO triage (run_id, context) VALUES (?, ?)",
        runId,
        looked.context,
      );
      log.append(looked.events.map(toNew));
      if (looked.ended) this.#onward.end(run, looked.ended, toNew(looked.ended));
    });
    log.announce();
    this.#onward.goOn();
  }

  #toLooked({ decision, by, problems, calls }: Verdict, durationMs: number): Looked {
    const context = decision.decision === "context" ? decision.text : null;
    const events: SessionEvent[] = calls.flatMap(({ model, usage }): SessionEvent[] => {
      const id = this.#deps.newEventId();
      // The start event has an id of its own, so that the end event can refer to it.
      const start = { type: "span.model_request_start" as const, model, id };
      return [
        start,
        { type: "span.model_request_end", model_request_start_id: id, is_error: false, model_usage: usage },
      ];
    });
    events.push({
      type: "triage.decided",
      decision: decision.decision,
      by: [...by],
      problems: problems.map(({ step, message }) => ({ step, message })),
      duration_ms: durationMs,
      ...(context === null ? {} : { context }),
    });
    const sum = (field: keyof (typeof calls)[number]["usage"]): number =>
      calls.reduce((total, { usage }) => total + usage[field], 0);
    const end = (outcome: RunEnded["outcome"], result: string, error: RunError | null): RunEnded => ({
      type: "run.ended",
      outcome,
      result,
      error,
      usage: {
        input_tokens: sum("input_tokens"),
        output_tokens: sum("output_tokens"),
        cache_creation_input_tokens: sum("cache_creation_input_tokens"),
        cache_read_input_tokens: sum("cache_read_input_tokens"),
      },
      num_turns: 0,
      duration_ms: durationMs,
    });
    switch (decision.decision) {
      case "answer":
        events.push({ type: "agent.message", content: [{ type: "text", text: decision.text }] });
        return { events, context, ended: end("succeeded", decision.text, null) };
      case "refuse":
        return { events, context, ended: end("failed", "", { type: "refused", message: decision.message }) };
      case "context":
      case "pass":
        return { events, context, ended: null };
      default:
        return decision satisfies never;
    }
  }
}
