import { newId, primaryThreadId } from "@gantry/protocol/ids.ts";
import type { RunError } from "@gantry/protocol/run-end.ts";
import type { Command, EngineStart, Frame, Report, RunStart, ToolAnswer } from "@gantry/protocol/link.ts";
import type { SandboxReport } from "@gantry/protocol/sandbox.ts";
import { after, guard, soon } from "../base/guarded.ts";
import type { ToolRequest } from "../engine/contract.ts";
import type { TranslatedEvent } from "../engine/translate/state.ts";
import { killMarked } from "../processes/processes.ts";
import { Refused } from "../snapshot/refused.ts";
import type { ActiveRun } from "./active-run.ts";
import type { StartReason } from "./admission.ts";
import { EngineSlot } from "./engine-slot.ts";
import type { HostSettings } from "./host-settings.ts";
import { Outbox } from "./outbox.ts";
import { Questions, toEvents } from "./questions.ts";
import { endOf, interruption, whyNotBegun } from "./run-ends.ts";
import { RunFiles } from "./run-files.ts";
import { stopTurn } from "./stop-turn.ts";
import { Translator } from "./translator.ts";
import { welcomeOf } from "./welcome.ts";

type Hello = Extract<Command, { type: "hello" }>;

/** How many ended runs are remembered, so that a start that arrives twice does not run twice. */
const REMEMBERED_RUNS = 200;

/**
 * One session on this runner: its engine, the run in progress, and the frames that are not stored yet. It knows nothing of
 * the queue: the session starts one run at a time, and a second start is refused.
 */
export class SessionHost {
  readonly #settings: HostSettings;
  readonly #outbox: Outbox;
  readonly #marker: string;
  readonly #slot: EngineSlot;
  readonly #translator: Translator;
  readonly #questions = new Questions();
  readonly files: RunFiles;
  #send: ((report: Report) => void) | null = null;
  #run: ActiveRun | null = null;
  /** Ids of ended runs, oldest first. */
  #ended: string[] = [];
  /** Id of the run that waits for an answer without an engine; see `#park`. */
  #parked: string | null = null;
  /** How many engines of parked runs are still being killed. */
  #parking = 0;
  /** Stops the engine, or parks the run, after `#idleMs` without use. */
  #idle: NodeJS.Timeout | null = null;
  #idleMs: number;
  #lastUsedAt = Date.now();
  #draining = false;

  constructor(settings: HostSettings) {
    this.#settings = settings;
    this.#idleMs = settings.idleMs;
    this.#marker = `${settings.markerPrefix}${settings.sessionId}`;
    this.files = new RunFiles(settings, this.#marker, {
      onEvent: (run, event) => {
        if (this.#run === run) this.#record({ ...event, id: newId("event") });
      },
      onReport: (report) => this.#send?.(report),
    });
    this.#outbox = new Outbox(
      (frame) => this.#send?.(frame),
      (flush) => soon("outbox", flush),
    );
    this.#translator = new Translator(primaryThreadId(settings.sessionId));
    this.#slot = new EngineSlot(settings, this.#marker, {
      openFolders: () => this.files.open(),
      mayStart: () => !this.#draining,
      onMessage: (message) => {
        if (this.#questions.waiting > 0) this.#startIdleWait();
        for (const event of this.#translator.eventsOf(message, this.#run?.command.options)) this.#record(event);
      },
      onToolRequest: (request, signal) => this.#ask(request, signal),
      onResume: (resumption, calls) => {
        this.#translator.addCalls(calls);
        for (const event of resumption.results) this.#record({ ...event, id: newId("event") });
        this.#questions.resumeWith(resumption.answers);
      },
      onExit: (reason) => {
        if (this.#park()) return;
        const run = this.#run;
        const end = (): void => {
          if (run) this.#end(run, reason);
        };
        guard("engine_kill", () => this.#slot.kill().then(end), end);
      },
      onGone: () => {
        for (const event of this.#translator.closeThreads()) this.#record(event);
      },
      log: (event, details) => this.#log(event, details),
    });
  }

  /** Whether something is running or not stored yet, so that the runner must not forget this session. */
  get busy(): boolean {
    return this.#run !== null || this.#parking > 0 || this.#outbox.pending;
  }

  get engineAlive(): boolean {
    return this.#slot.alive;
  }

  /** Since when its engine could be given up for another session (ms since the epoch); null while it could not. */
  get idleSince(): number | null {
    return this.engineAlive && (!this.busy || this.#questions.canBeParked) ? this.#lastUsedAt : null;
  }

  /** The state of the sandbox now. */
  get sandbox(): SandboxReport {
    return {
      runnerId: this.#settings.runnerId,
      ...this.#slot.status,
      position: this.#slot.position,
      sleepsAt: this.#idle !== null && this.idleSince !== null ? this.#lastUsedAt + this.#idleMs : null,
    };
  }

  /** When a run last began or ended here, or an engine was started ahead of one (ms since the epoch). */
  get lastUsedAt(): number {
    return this.#lastUsedAt;
  }

  /** Begins to use a new link: reports what is here, and sends the frames again that the session has not stored. */
  attach(send: (report: Report) => void, { cursor, mirror }: Pick<Hello, "cursor" | "mirror">): void {
    this.#send = send;
    send(
      welcomeOf(this.#settings, {
        run: this.#run,
        ended: this.#ended,
        parked: this.#parked,
        folder: this.files.saved.folder(),
        draining: this.#draining,
      }),
    );
    if (mirror) this.files.saved.mirror.resume(mirror);
    const after = cursor?.runnerId === this.#settings.runnerId ? cursor.frame : 0;
    for (const frame of this.#outbox.since(after)) send(frame satisfies Frame);
    this.#reportParked();
  }

  /** The link is closed. */
  detach(): void {
    this.#send = null;
  }

  /** Stops the engine and replaces the session's folder by a saved one. Throws `Refused` while a run is in progress. */
  async restore(stream: AsyncIterable<Uint8Array>): ReturnType<RunFiles["restore"]> {
    if (this.#run) throw new Refused("busy", "A run is in progress.");
    this.#slot.cancelWarming();
    await this.#slot.stop();
    return this.files.restore(stream);
  }

  /** Carries out a command of the session. */
  handle(command: Exclude<Command, { type: "hello" }>): void {
    switch (command.type) {
      case "ack":
        this.#outbox.ack(command.frame);
        // Everything is stored, so this engine may now be given up for another session.
        if (!this.busy) this.#settings.admission.pump();
        return;
      case "ping":
        return this.#send?.({ type: "pong", at: command.at });
      case "run.start":
        return this.#start(command);
      case "engine.warm":
        return guard("engine_warm", () => this.warm(command, "warm"));
      case "run.interrupt":
        if (this.#run?.command.runId === command.runId) this.interrupt("user");
        return;
      case "tool.answer":
        return this.#questions.answer(command.toolUseId, command.answer);
      default:
        command satisfies never;
    }
  }

  /** Stops the run in progress, if necessary by killing its engine; see `stopTurn`. */
  interrupt(why: NonNullable<ActiveRun["interrupted"]>): void {
    const run = this.#run;
    if (!run || run.interrupted || run.state === "concluding") return;
    run.interrupted = why;
    const { engine } = this.#slot;
    if (!engine || run.state === "preparing") return this.#end(run, "Stopped before it began.");
    stopTurn(engine, {
      isOver: () => this.#run !== run,
      kill: () => {
        const end = (): void => this.#end(run, "The engine had to be killed.");
        guard("engine_kill", () => killMarked(this.#marker).then(end), end);
      },
      log: (event, details) => this.#log(event, details),
    });
  }

  /** Accepts no more runs. Parks a run that only waits for an answer, and interrupts any other. */
  drain(): void {
    this.#draining = true;
    if (!this.#park()) this.interrupt("server_stopped");
  }

  /** Stops the engine and everything it started. Parks a run that only waits for an answer. */
  async close(): Promise<void> {
    this.#stopIdleWait();
    this.#slot.cancelWarming();
    this.#park();
    await this.#slot.stop();
  }

  /**
   * Starts an engine ahead of the first prompt. Resolves when it has started; at once when there is one already or the
   * session is busy. Never rejects.
   */
  async warm(start: EngineStart, reason: Exclude<StartReason, "run">): Promise<void> {
    if (this.#draining || this.#run || this.#slot.isWarming || this.engineAlive) return;
    this.#idleMs = start.idleMs ?? this.#settings.idleMs;
    await this.#slot.warm(start, reason);
    if (!this.#run) this.#rest();
  }

  #start(command: RunStart): void {
    if (this.#run?.command.runId === command.runId || this.#ended.includes(command.runId)) return;
    if (this.#draining || this.#run) {
      this.#log("run_refused", { runId: command.runId, busyWith: this.#run?.command.runId ?? null });
      return this.#send?.({ type: "refused", runId: command.runId });
    }
    this.#stopIdleWait();
    this.#slot.cancelWarming();
    this.#parked = null;
    const run: ActiveRun = {
      command,
      startedAt: Date.now(),
      interrupted: null,
      deadline: this.#deadline(command),
      state: "preparing",
      over: new AbortController(),
    };
    this.#run = run;
    this.#idleMs = command.idleMs ?? this.#settings.idleMs;
    this.#lastUsedAt = Date.now();
    this.#begin(run).catch((error: unknown) => this.#end(run, ...whyNotBegun(error)));
  }

  #deadline(command: RunStart): NodeJS.Timeout {
    return after("deadline", command.deadlineMs, () => this.interrupt("deadline_exceeded"));
  }

  async #begin(run: ActiveRun): Promise<void> {
    const { command, over } = run;
    const { prompt, context } = await this.files.prepare(run);
    if (this.#run !== run) return;
    await this.#slot.ensure(command, "run", over.signal, {
      hasContext: context !== null,
      onWait: (position) => this.#record({ type: "sandbox.waiting", id: newId("event"), position }),
      ...(command.resume ? { resume: command.resume.calls } : {}),
    });
    if (this.#run !== run) return;
    this.#slot.change("run");
    run.state = "prompted";
    // A resumed conversation continues by itself.
    if (command.resume) return;
    await this.#slot.engine?.prompt(prompt, command.options.model, command.options.permissionMode, context);
  }

  /** Records the engine's question as an event, and waits for the answer for as long as the run lasts. */
  async #ask(request: ToolRequest, signal: AbortSignal): Promise<ToolAnswer> {
    const { toolUseId, agentId } = request;
    const given = this.#questions.take(request);
    if (given) return given;
    const id = this.#translator.nameCall(toolUseId);
    const run = this.#run;
    if (!run) return { type: "deny", message: "No run is in progress, so this call cannot be allowed." };
    const isForPeer = request.kind === "peer";
    const canBeParked = !isForPeer && agentId === undefined && (await this.files.keeps(run, toolUseId));
    if (this.#run !== run || signal.aborted) return { type: "deny", message: "The run was stopped." };
    // The time that a person or client takes to answer does not count towards the deadline. That of another session does.
    if (!isForPeer) clearTimeout(run.deadline);
    const answered = this.#questions.wait(id, { canBeParked, isForPeer }, signal);
    const thread = this.#translator.threadOf(agentId);
    for (const event of toEvents(request, id, { canBeParked, thread }, () => newId("event"))) this.#record(event);
    if (!isForPeer) this.#startIdleWait();
    const answer = await answered;
    if (!isForPeer && this.#run === run && this.#questions.waiting === 0) {
      this.#stopIdleWait();
      run.deadline = this.#deadline(run.command);
    }
    return answer;
  }

  /**
   * Lets go of a run that only waits for an answer: it needs no engine until then, and afterwards any engine will do. The
   * engine is killed, because it would take any other input for the answer. Returns false when no run can be parked.
   */
  #park(): boolean {
    const run = this.#run;
    if (!run || run.interrupted || !this.#questions.canBeParked) return false;
    const { runId } = run.command;
    this.#questions.forget();
    const killed = this.#slot.kill();
    clearTimeout(run.deadline);
    run.over.abort();
    this.#run = null;
    this.#parking += 1;
    this.#parked = runId;
    this.files.saved.runEnded();
    this.#log("run_parked", { runId });
    const parked = (): void => {
      this.#parking -= 1;
      this.#outbox.flush();
      this.#reportParked();
    };
    guard("run_park", () => killed.then(parked));
    return true;
  }

  /** Reports the parked run to the session once its engine is gone. */
  #reportParked(): void {
    const [runId, frame] = [this.#parked, this.#outbox.last];
    if (runId !== null && this.#parking === 0) this.#send?.({ type: "parked", runId, frame });
  }

  /** The run waits for an answer. Its engine stays as long as that of a session without a run. */
  #startIdleWait(): void {
    this.#useUntilIdle(() => this.#park());
  }

  /** No run is in progress. The engine stays for a while. */
  #rest(): void {
    if (this.engineAlive) this.#slot.change("rest");
    this.#useUntilIdle(() => this.close());
    this.#settings.admission.pump();
  }

  #useUntilIdle(whenIdle: () => unknown): void {
    this.#lastUsedAt = Date.now();
    this.#stopIdleWait();
    this.#idle = after("idle", this.#idleMs, whenIdle);
    this.#idle.unref();
  }

  #stopIdleWait(): void {
    if (this.#idle) clearTimeout(this.#idle);
  }

  /** Puts an event into the outbox. The event that ends the run also ends it here. */
  #record(event: TranslatedEvent & { readonly call?: string }): void {
    const run = this.#run;
    if (event.type === "agent.tool_result") this.#questions.over(event.tool_use_id);
    else if (event.type === "agent.mcp_tool_result") this.#questions.over(event.mcp_tool_use_id);
    if (event.type !== "run.ended") {
      this.#outbox.push(run?.command.runId ?? null, { ...event, at: Date.now() });
      return;
    }
    if (!run) return; // the engine finished an errand of its own between runs
    this.#conclude(run, { ...event, ...interruption(run), duration_ms: Date.now() - run.startedAt });
  }

  /** Ends a run that the engine did not end. */
  #end(run: ActiveRun, reason: string, type: RunError["type"] = "engine_failed"): void {
    if (this.#run !== run) return;
    this.#conclude(run, { id: newId("event"), ...endOf(run, this.#translator.lastText, reason, type) });
    this.#translator.endRun();
  }

  /** Hands over the outputs, then ends the run: a client that sees the end finds the files. */
  #conclude(run: ActiveRun, event: TranslatedEvent): void {
    if (run.state === "concluding") return;
    const handedOver = this.files.handOver(run);
    run.state = "concluding";
    clearTimeout(run.deadline);
    const finish = (): void => this.#finish(run, event);
    guard("run_finish", () => (handedOver ? handedOver.then(finish) : finish()));
  }

  #finish(run: ActiveRun, event: TranslatedEvent): void {
    run.over.abort();
    this.#questions.end();
    const leftovers = run.interrupted !== null && this.#translator.hasBackgroundTasks;
    this.#run = null;
    this.files.saved.runEnded();
    this.#ended = [...this.#ended, run.command.runId].slice(-REMEMBERED_RUNS);
    this.#outbox.push(run.command.runId, { ...event, at: Date.now() });
    // The engine keeps background tasks running after an interrupt, but a user who stops a run means those too.
    if (leftovers) guard("engine_stop", () => this.#slot.stop());
    this.#rest();
  }

  #log(event: string, details: Record<string, unknown>): void {
    this.#settings.log({ event, sessionId: this.#settings.sessionId, ...details });
  }
}
