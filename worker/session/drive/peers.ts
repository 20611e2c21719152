import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { RunOutcome } from "@gantry/protocol/run-end.ts";
import { newId, primaryThreadId } from "@gantry/protocol/ids.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { PEER_TOOLS, PeerTool, peerServerOf } from "@gantry/protocol/peers.ts";
import type { PeerLimits } from "@gantry/protocol/peers.ts";
import type { Approvals } from "../store/approvals.ts";
import type { EventLog } from "../log/event-log.ts";
import type { NewEvent } from "../log/new-event.ts";
import type { Run, RunQueue } from "../store/run-queue.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql, Transaction } from "../../storage/sql.ts";
import type { Threads } from "../log/threads.ts";

/**
 * State of a call that the agent makes to another session.
 * - `asked`: stored with the frame it came in. It becomes `begun`, or `over` when it is refused, only reads, or its run
 *   ends. After a crash it is carried out again under the same ids, which find what was done already.
 * - `begun`: the other session has its prompt. It becomes `over` when that prompt's run has ended.
 * - `over`: final.
 */
type CallState = "asked" | "begun" | "over";

/** A call and the ids of what it creates. They are chosen when it is stored, so that retries have one effect. */
export interface PeerCall {
  readonly toolUseId: string;
  readonly runId: string;
  readonly tool: PeerTool;
  readonly input: Record<string, unknown>;
  /** The session it is about. */
  readonly target: string;
  /** The run there. */
  readonly targetRun: string;
  readonly state: CallState;
  readonly answer: ToolAnswer | null;
}

/** Effects outside this session. Each may be called again for the same call. */
export interface PeerActions {
  /** Submits a prompt to a session, creating it where the call says so. A refusal is text for the agent. */
  begin(
    call: PeerCall,
    prompt: { message: string; agent?: string; title?: string | undefined },
    limits: PeerLimits,
    startedBy: readonly string[],
  ): Promise<{ readonly agentName: string } | { readonly refused: string }>;
  /** How a run of another session ended; null while it has not ended. */
  result(target: string, runId: string): Promise<{ readonly text: string; readonly isError: boolean } | null>;
  /** The latest messages of a session; null when this account has no such session. */
  read(target: string): Promise<string | null>;
  cancel(target: string, runId: string): Promise<unknown>;
}

export interface PeersDeps {
  readonly sql: Sql;
  readonly sessionId: string;
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly approvals: Approvals;
  readonly threads: Threads;
  readonly transaction: Transaction;
  readonly actions: PeerActions;
  readonly now: () => number;
  readonly newEventId: () => string;
  readonly report: (entry: Record<string, unknown>) => void;
}

type Send = (answer: { runId: string; toolUseId: string; answer: ToolAnswer }) => void;

/** What this session's agent does with other sessions of its account. Each of them is a thread of this one. */
export class Peers {
  readonly #deps: PeersDeps;
  readonly #busy = new Set<string>();

  constructor(deps: PeersDeps) {
    this.#deps = deps;
  }

  /** Stores the calls among a frame's events. Inside the frame's transaction. */
  note(events: readonly NewEvent[]): void {
    for (const { runId, event } of events) {
      if (event.type !== "peer.requested" || runId === null) continue;
      const named = event.input["session"];
      this.#deps.sql.exec(
        "INSERT OR IGNORE INTO peer_calls VALUES (?, ?, ?, ?, ?, ?, 'asked', NULL)",
        event.tool_use_id,
        runId,
        event.tool,
        JSON.stringify(event.input),
        event.tool === "start_session" ? newId("session") : typeof named === "string" ? named : "",
        newId("run"),
      );
    }
  }

  /** Answers of a run, to send again on a new link. */
  answered(runId: string): PeerCall[] {
    return this.#calls("run_id = ? AND answer IS NOT NULL", runId);
  }

  /** Continues every call that is not over. `send` sends an answer to the runner. Returns at once. */
  carryOut(send: Send): void {
    const running = this.#deps.queue.running()?.id ?? "";
    for (const call of this.#calls("state = 'begun' OR (state = 'asked' AND run_id = ?)", running)) {
      if (this.#busy.has(call.toolUseId)) continue;
      this.#busy.add(call.toolUseId);
      this.#carryOut(call, send)
        .catch((error: unknown) =>
          this.#deps.report({ event: "peer_call_failed", toolUseId: call.toolUseId, error: String(error) }),
        )
        .finally(() => this.#busy.delete(call.toolUseId));
    }
  }

  /** The run has ended: its calls that have not begun are dropped, and those that have are cancelled if it was stopped. */
  close(run: Run, outcome: RunOutcome): void {
    const { sql, actions, report } = this.#deps;
    const begun = this.#calls("run_id = ? AND state = 'begun'", run.id);
    sql.exec("UPDATE peer_calls SET state = 'over' WHERE run_id = ? AND state = 'asked'", run.id);
    if (outcome !== "interrupted") return;
    for (const { target, targetRun } of begun)
      actions
        .cancel(target, targetRun)
        .catch((error: unknown) => report({ event: "peer_not_stopped", target, error: String(error) }));
  }

  async #carryOut(call: PeerCall, send: Send): Promise<void> {
    const { actions, queue } = this.#deps;
    const refuse = (text: string): void => this.#finish(call, text, true, send);
    if (call.state === "asked") {
      const run = queue.get(call.runId);
      const allowed = run ? this.#allowed(call, run) : "The run has ended.";
      if (typeof allowed === "string") return refuse(allowed);
      if (call.tool === "read_session") {
        const said = await actions.read(call.target);
        return this.#finish(call, said ?? unknown(call.target), said === null, send);
      }
      const parsed = PEER_TOOLS[call.tool].safeParse(call.input);
      if (!parsed.success)
        return refuse(`${parsed.error.issues[0]?.path.join(".") || "input"}: ${parsed.error.issues[0]?.message}`);
      const startedBy = [...(run?.options.startedBy ?? []), this.#deps.sessionId];
      const began = await actions.begin(call, parsed.data, allowed, startedBy);
      if ("refused" in began) return refuse(began.refused);
      this.#begun(call, parsed.data.message, began.agentName);
      if (!parsed.data.wait)
        this.#answer(call, `Session ${call.target} has begun. read_session shows how it goes.`, false, send);
    }
    const result = await actions.result(call.target, call.targetRun);
    if (result) this.#finish(call, `Session ${call.target} answered:\n\n${result.text}`, result.isError, send);
  }

  /** The limits of a call, or why it is refused. The runner is not trusted: the session knows what its agent may do. */
  #allowed(call: PeerCall, run: Run): PeerLimits | string {
    const peer = peerServerOf(run.options.agent);
    if (!peer) return "This agent may not use other sessions.";
    const policy = peer.server.tools[call.tool] ?? peer.server.policy;
    const confirmed = this.#deps.approvals.get(call.toolUseId)?.answer?.type === "allow";
    if (policy === "off" || (policy === "ask" && !confirmed)) return `This agent may not use ${call.tool}.`;
    const waiting = [...(run.options.startedBy ?? []), this.#deps.sessionId];
    if (call.tool === "read_session") return peer.limits;
    if (call.target === this.#deps.sessionId) return "A session cannot message itself.";
    if (waiting.includes(call.target)) return `Session ${call.target} waits for this one: it would never answer.`;
    if (waiting.length > peer.limits.maxDepth)
      return `At most ${peer.limits.maxDepth} sessions may wait for each other in a row.`;
    if (call.tool !== "start_session") return peer.limits;
    const started = numberOf(
      this.#deps.sql
        .exec(
          `SELECT COUNT(*) AS n FROM peer_calls WHERE tool = 'start_session' AND tool_use_id <> ? AND
            (state = 'begun' OR (state = 'over' AND target IN (SELECT peer FROM threads)))`,
          call.toolUseId,
        )
        .toArray()[0],
      "n",
    );
    if (started + this.#beginning(call) >= peer.limits.maxSessions)
      return `This session has started ${peer.limits.maxSessions} sessions, which is as many as it may.`;
    return peer.limits;
  }

  /** Number of sessions that are being started at this moment. */
  #beginning(call: PeerCall): number {
    const asked = this.#calls("state = 'asked' AND tool = 'start_session' AND tool_use_id <> ?", call.toolUseId);
    return asked.filter((each) => this.#busy.has(each.toolUseId)).length;
  }

  #begun(call: PeerCall, message: string, agentName: string): void {
    const thread = primaryThreadId(call.target);
    const primary = primaryThreadId(this.#deps.sessionId);
    const content = [{ type: "text" as const, text: message }];
    const known = this.#deps.threads.get(thread) !== null;
    const created: SessionEvent = {
      type: "session.thread_created",
      session_thread_id: thread,
      agent_name: agentName,
      workflow_run_id: null,
      parent_thread_id: primary,
      tool_use_id: call.toolUseId,
      task_id: null,
      peer_session_id: call.target,
    };
    const running: SessionEvent = {
      type: "session.thread_status_running",
      session_thread_id: thread,
      agent_name: agentName,
    };
    this.#write(call, "begun", null, [
      ...(known ? [] : [{ event: created }]),
      { event: running },
      { event: running, thread },
      {
        event: {
          type: "agent.thread_message_sent",
          to_session_thread_id: thread,
          to_agent_name: agentName,
          content,
        },
      },
      { event: { type: "agent.thread_message_received", from_session_thread_id: primary, content }, thread },
    ]);
  }

  /** Answers a call whose other run has not ended. */
  #answer(call: PeerCall, text: string, isError: boolean, send: Send): void {
    const answer: ToolAnswer = { type: "result", content: [{ type: "text", text }], isError };
    this.#write(call, null, answer, []);
    send({ runId: call.runId, toolUseId: call.toolUseId, answer });
  }

  #finish(call: PeerCall, text: string, isError: boolean, send: Send): void {
    const now = this.#get(call.toolUseId);
    if (!now || now.state === "over") return;
    const answer: ToolAnswer = { type: "result", content: [{ type: "text", text }], isError };
    const thread = this.#deps.threads.get(primaryThreadId(call.target));
    const events: { event: SessionEvent; thread?: string }[] = [];
    if (now.state === "begun" && thread) {
      const content = [{ type: "text" as const, text }];
      const idle: SessionEvent = {
        type: "session.thread_status_idle",
        session_thread_id: thread.id,
        agent_name: thread.agentName,
        stop_reason: { type: isError ? "retries_exhausted" : "end_turn" },
        stop_details: null,
      };
      const to_session_thread_id = primaryThreadId(this.#deps.sessionId);
      events.push(
        { event: { type: "agent.thread_message_sent", to_session_thread_id, content }, thread: thread.id },
        {
          event: {
            type: "agent.thread_message_received",
            from_session_thread_id: thread.id,
            from_agent_name: thread.agentName,
            content,
          },
        },
        { event: idle, thread: thread.id },
        { event: idle },
      );
    }
    this.#write(call, "over", now.answer ?? answer, events);
    if (!now.answer) send({ runId: call.runId, toolUseId: call.toolUseId, answer });
  }

  /** Stores state, answer and events in one transaction, then announces them. */
  #write(
    call: PeerCall,
    state: CallState | null,
    answer: ToolAnswer | null,
    events: readonly { event: SessionEvent; thread?: string }[],
  ): void {
    const { sql, log, threads, queue, transaction, now, newEventId } = this.#deps;
    const runId = queue.running()?.id === call.runId ? call.runId : null;
    transaction(() => {
      sql.exec(
        "UPDATE peer_calls SET state = COALESCE(?, state), answer = COALESCE(answer, ?) WHERE tool_use_id = ?",
        state,
        answer === null ? null : JSON.stringify(answer),
        call.toolUseId,
      );
      const written = events.map(({ event, thread }) => ({ id: newEventId(), runId, at: now(), event, thread }));
      log.append(written);
      threads.note(written);
    });
    log.announce();
  }

  #get(toolUseId: string): PeerCall | undefined {
    return this.#calls("tool_use_id = ?", toolUseId)[0];
  }

  #calls(where: string, ...values: string[]): PeerCall[] {
    return this.#deps.sql
      .exec(`SELECT * FROM peer_calls WHERE ${where}`, ...values)
      .toArray()
      .map(toCall);
  }
}

/** The same answer as for a session of another account. */
export function unknown(sessionId: string): string {
  return `There is no session ${JSON.stringify(sessionId)}.`;
}

function toCall(row: Row): PeerCall {
  const answer = textOf(row, "answer");
  return {
    toolUseId: textOf(row, "tool_use_id"),
    runId: textOf(row, "run_id"),
    tool: PeerTool.parse(textOf(row, "tool")),
    input: JSON.parse(textOf(row, "input")) as Record<string, unknown>,
    target: textOf(row, "target"),
    targetRun: textOf(row, "target_run"),
    state: textOf(row, "state") as CallState,
    answer: answer === "" ? null : (JSON.parse(answer) as ToolAnswer),
  };
}
