import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { AnsweredCall, ToolAnswer } from "@gantry/protocol/link.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";

/** A tool call that waits for an answer, or whose answer may have to be sent to the runner again. */
export interface WaitingCall {
  /** Event id of the `agent.tool_use` or `agent.custom_tool_use`. */
  readonly toolUseId: string;
  readonly runId: string;
  /**
   * How the call is answered. `permission`, `question` (the agent asks a question) and `plan` (it asks to begin):
   * `user.tool_confirmation`; `client`: `user.custom_tool_result`; `worker`: `user.tool_result`; `worker_ask`: the same,
   * after it was allowed.
   */
  readonly kind: "permission" | "question" | "plan" | "client" | "worker" | "worker_ask";
  readonly tool: string;
  /** Input of the tool, as JSON. */
  readonly input: string;
  readonly askedAt: number;
  readonly answer: ToolAnswer | null;
  /** The engine's own id of the call; null when no other engine could continue it. */
  readonly call: string | null;
  /** The runner that was sent the answer; null before. Once it is sent, the tool may have begun. */
  readonly sentTo: string | null;
}

/**
 * Calls of this session that wait for an answer. A row lives from the question to the call's result or the end of its run.
 * An answer is stored before it is sent, so that it survives a cut link and the loss of the engine that asked.
 */
export class Approvals {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Stores the questions among a frame's events. Returns whether there were any. Inside the frame's transaction. */
  noteQuestions(
    events: readonly {
      readonly id: string;
      readonly runId: string | null;
      readonly at: number;
      readonly event: SessionEvent;
      readonly call?: string | undefined;
    }[],
  ): boolean {
    let asked = false;
    for (const { id, runId, at, event, call } of events) {
      if (event.type === "approval.requested")
        this.#ask(event.tool_use_id, runId, {
          kind: kindOf(event.tool),
          tool: event.tool,
          input: event.input,
          at,
          call,
        });
      else if (event.type === "agent.custom_tool_use")
        this.#ask(id, runId, { kind: "client", tool: event.name, input: event.input, at, call });
      else if (event.type === "agent.tool_use" && event.evaluated_permission !== undefined) {
        const kind = event.evaluated_permission === "allow" ? "worker" : "worker_ask";
        this.#ask(id, runId, { kind, tool: event.name, input: event.input, at, call });
      } else continue;
      asked = true;
    }
    return asked;
  }

  /** Removes calls whose result is among a frame's events. Inside the frame's transaction. */
  noteResults(events: readonly { readonly event: SessionEvent }[]): void {
    for (const { event } of events) {
      if (event.type === "agent.tool_result") this.#forget(event.tool_use_id);
      else if (event.type === "agent.mcp_tool_result") this.#forget(event.mcp_tool_use_id);
    }
  }

  /**
   * Whether the run only waits, so that it can continue without the engine that asked. `no`: an answered call may have
   * begun, or a call could not be found again. `for_client`: an answer is missing. `answered`: all answers are there.
   */
  waits(runId: string): "no" | "for_client" | "answered" {
    const calls = this.#sql.exec("SELECT * FROM waiting WHERE run_id = ?", runId).toArray().map(toCall);
    if (calls.length === 0 || calls.some((call) => call.call === null || call.sentTo !== null)) return "no";
    return calls.some((call) => call.answer === null) ? "for_client" : "answered";
  }

  /** The answers of a run are sent to a runner; null: that runner did not take them. */
  sent(runId: string, runnerId: string | null): void {
    if (this.answered(runId).length === 0) return;
    this.#sql.exec("UPDATE waiting SET sent_to = ? WHERE run_id = ? AND answer IS NOT NULL", runnerId, runId);
  }

  /** Unanswered calls, oldest first. */
  open(): WaitingCall[] {
    return this.#sql.exec("SELECT * FROM waiting WHERE answer IS NULL ORDER BY asked_at").toArray().map(toCall);
  }

  get(toolUseId: string): WaitingCall | null {
    const row = this.#sql.exec("SELECT * FROM waiting WHERE tool_use_id = ?", toolUseId).toArray()[0];
    return row ? toCall(row) : null;
  }

  answer(toolUseId: string, answer: ToolAnswer): void {
    this.#sql.exec(
      "UPDATE waiting SET answer = ? WHERE tool_use_id = ? AND answer IS NULL",
      JSON.stringify(answer),
      toolUseId,
    );
  }

  /** Allows a call that a worker carries out. */
  allow(toolUseId: string): void {
    this.#sql.exec("UPDATE waiting SET kind = 'worker' WHERE tool_use_id = ? AND kind = 'worker_ask'", toolUseId);
  }

  /** Answers of a run, to send again on a new link. The runner takes each once. */
  answered(runId: string): WaitingCall[] {
    return this.#sql.exec("SELECT * FROM waiting WHERE run_id = ? AND answer IS NOT NULL", runId).toArray().map(toCall);
  }

  /** The run has ended: removes its calls. */
  close(runId: string): void {
    this.#sql.exec("DELETE FROM waiting WHERE run_id = ?", runId);
  }

  #ask(
    toolUseId: string,
    runId: string | null,
    question: {
      kind: WaitingCall["kind"];
      tool: string;
      input: Record<string, unknown>;
      at: number;
      call: string | undefined;
    },
  ): void {
    if (runId === null) return;
    const { kind, tool, input, at, call } = question;
    this.#sql.exec(
      "INSERT OR IGNORE INTO waiting (tool_use_id, run_id, kind, tool, input, asked_at, call) VALUES (?, ?, ?, ?, ?, ?, ?)",
      toolUseId,
      runId,
      kind,
      tool,
      JSON.stringify(input),
      at,
      call ?? null,
    );
  }

  #forget(toolUseId: string): void {
    this.#sql.exec("DELETE FROM waiting WHERE tool_use_id = ?", toolUseId);
  }
}

const KINDS = ["permission", "question", "plan", "client", "worker", "worker_ask"] as const;

/** Which question a permission request for one of the engine's own tools is. */
function kindOf(tool: string): WaitingCall["kind"] {
  if (tool === "AskUserQuestion") return "question";
  return tool === "ExitPlanMode" ? "plan" : "permission";
}

function toCall(row: Row): WaitingCall {
  const answer = textOf(row, "answer");
  return {
    toolUseId: textOf(row, "tool_use_id"),
    runId: textOf(row, "run_id"),
    kind: KINDS.find((kind) => kind === textOf(row, "kind")) ?? "permission",
    tool: textOf(row, "tool"),
    input: textOf(row, "input"),
    askedAt: numberOf(row, "asked_at"),
    answer: answer === "" ? null : (JSON.parse(answer) as ToolAnswer),
    call: textOf(row, "call") || null,
    sentTo: textOf(row, "sent_to") || null,
  };
}

/** An answered call in the form for a runner that did not ask it. */
export function toAnsweredCall({ toolUseId, kind, call, tool, input, answer }: WaitingCall): AnsweredCall {
  const refused = { type: "deny" as const, message: "This was not answered." };
  const given = JSON.parse(input) as Record<string, unknown>;
  return {
    toolUseId,
    kind: kind === "client" || kind === "worker" || kind === "worker_ask" ? "client" : "permission",
    call: call ?? "",
    tool,
    input: given,
    answer: answer ?? refused,
  };
}
