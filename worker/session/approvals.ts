import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { numberOf, textOf } from "./sql.ts";
import type { Row, Sql } from "./sql.ts";

/** A tool call that waits for somebody, or has been answered and may have to be told to the runner again. */
export interface WaitingCall {
  /** Event id of the `agent.tool_use` or `agent.custom_tool_use`. */
  readonly toolUseId: string;
  readonly runId: string;
  /** `permission`: answered with `user.tool_confirmation`; `client`: with `user.custom_tool_result`. */
  readonly kind: "permission" | "client";
  readonly tool: string;
  /** What the tool is called with, as JSON. */
  readonly input: string;
  readonly askedAt: number;
  readonly answer: ToolAnswer | null;
}

/**
 * What waits for an answer in this session. Rows live from the question to the end of their run; an answer is stored
 * before it is sent, so that it arrives however often the link is cut.
 */
export class Approvals {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Notes the questions among a frame's events. Returns whether there were any. Inside the frame's transaction. */
  noteQuestions(
    events: readonly {
      readonly id: string;
      readonly runId: string | null;
      readonly at: number;
      readonly event: SessionEvent;
    }[],
  ): boolean {
    let asked = false;
    for (const { id, runId, at, event } of events) {
      if (event.type === "approval.requested")
        this.#ask(event.tool_use_id, runId, "permission", event.tool, event.input, at);
      else if (event.type === "agent.custom_tool_use") this.#ask(id, runId, "client", event.name, event.input, at);
      else continue;
      asked = true;
    }
    return asked;
  }

  /** Calls that nobody has answered, oldest first. */
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

  /** Answers of a run, to be sent again on a new link; the runner takes each once. */
  answered(runId: string): WaitingCall[] {
    return this.#sql.exec("SELECT * FROM waiting WHERE run_id = ? AND answer IS NOT NULL", runId).toArray().map(toCall);
  }

  /** The run has ended: nothing of it waits any more. */
  close(runId: string): void {
    this.#sql.exec("DELETE FROM waiting WHERE run_id = ?", runId);
  }

  #ask(
    toolUseId: string,
    runId: string | null,
    kind: WaitingCall["kind"],
    tool: string,
    input: Record<string, unknown>,
    at: number,
  ): void {
    if (runId === null) return;
    this.#sql.exec(
      "INSERT OR IGNORE INTO waiting (tool_use_id, run_id, kind, tool, input, asked_at) VALUES (?, ?, ?, ?, ?, ?)",
      toolUseId,
      runId,
      kind,
      tool,
      JSON.stringify(input),
      at,
    );
  }
}

function toCall(row: Row): WaitingCall {
  const answer = textOf(row, "answer");
  return {
    toolUseId: textOf(row, "tool_use_id"),
    runId: textOf(row, "run_id"),
    kind: textOf(row, "kind") === "client" ? "client" : "permission",
    tool: textOf(row, "tool"),
    input: textOf(row, "input"),
    askedAt: numberOf(row, "asked_at"),
    answer: answer === "" ? null : (JSON.parse(answer) as ToolAnswer),
  };
}
