import { newId, primaryThreadId } from "@gantry/protocol/ids.ts";
import type { RunError } from "@gantry/protocol/event.ts";
import type { Command, EngineStart, Frame, Report, RunStart, ToolAnswer } from "@gantry/protocol/link.ts";
import { nextSandboxState } from "@gantry/protocol/sandbox.ts";
import type { SandboxChange, SandboxReport, SandboxState } from "@gantry/protocol/sandbox.ts";
import type { Pass, StartReason } from "./admission.ts";
import { Engine } from "../engine/agent.ts";
import type { EngineWants } from "../engine/agent.ts";
import type { ToolRequest } from "../engine/agent.ts";
import { NotStarted, REMEMBERED_RUNS, WARM_PATIENCE_MS } from "./host-settings.ts";
import type { ActiveRun, HostSettings } from "./host-settings.ts";
import { Outbox } from "./outbox.ts";
import { stopTurn } from "./stop-turn.ts";
import { killMarked } from "../processes/processes.ts";
import { Questions, toEvents } from "./questions.ts";
import { closeDeferred, prepareResume } from "../engine/resume.ts";
import { betweenRuns, initialState, nameToolCall, translate, withCalls } from "../engine/translate.ts";
import type { TranslateState, TranslatedEvent } from "../engine/translate.ts";
import { closeThreads, noThreads } from "../engine/translate/threads.ts";
import { RunFiles } from "./run-files.ts";
import { Refused } from "../snapshot/refused.ts";
import { endOf, interruption, rawEvents, welcomeOf, whyNotBegun } from "./run-reports.ts";
import { mendTranscript } from "../engine/transcript.ts";

type Hello = Extract<Command, { type: "hello" }>;

/**
 * One session on this runner: its engine, the run in progress and the frames that wait to be stored.
 * Knows nothing of the queue: the session starts one run at a time and a second start is refused.
 */
export class SessionHost {
  readonly #settings: HostSettings;
  readonly #outbox: Outbox;
  readonly #marker: string;
  #send: ((report: Report) => void) | null = null;
  readonly files: RunFiles;
  #engine: Engine | null = null;
  #run: ActiveRun | null = null;
  #ended: string[] = [];
  #state: TranslateState;
  readonly #questions = new Questions();
  /** The run that waits for somebody and was let go of. */
  #parked: string | null = null;
  /** Engines of such runs that are being ended. */
  #parking = 0;
  #idle: NodeJS.Timeout | null = null;
  #idleMs: number;
  #sandbox: { state: SandboxState; since: number } = { state: "stopped", since: Date.now() };
  /** Names the start that waits for a place. */
  #entering: AbortSignal | null = null;
  #draining = false;
  /** A start ahead of a prompt that still waits for its turn: whoever has a prompt goes first. */
  #warming: AbortController | null = null;
  /** One start after the other. */
  #starts: Promise<unknown> = Promise.resolve();
  #pass: Pass | null = null;
  #lastUsedAt = Date.now();
  /** The end of the engine before, which the start of the next waits for: they share the marker they are killed by. */
  #stopped: Promise<unknown> = Promise.resolve();

  constructor(settings: HostSettings) {
    this.#settings = settings;
    this.#idleMs = settings.idleMs;
    this.#marker = `${settings.markerPrefix}${settings.sessionId}`;
    this.files = new RunFiles(settings, this.#marker, {
      tell: (run, event) => void (this.#run === run && this.#record({ ...event, id: newId("event") })),
      send: (report) => this.#send?.(report),
    });
    this.#outbox = new Outbox((frame) => this.#send?.(frame), setImmediate);
    this.#state = { ...initialState, threads: noThreads(primaryThreadId(settings.sessionId)) };
  }

  /** Something is running or unsaved: the runner may not forget this session. */
  get busy(): boolean {
    return this.#run !== null || this.#parking > 0 || this.#outbox.pending;
  }

  get engineAlive(): boolean {
    return this.#engine?.alive ?? false;
  }

  /** Since when its engine could be spared for another session; null while it could not. */
  get idleSince(): number | null {
    return this.engineAlive && (!this.busy || this.#questions.canBeParked) ? this.#lastUsedAt : null;
  }

  /** How it is now. */
  get sandbox(): SandboxReport {
    const { admission, runnerId } = this.#settings;
    return {
      runnerId,
      ...this.#sandbox,
      position: this.#entering && admission.positionOf(this.#entering),
      sleepsAt: this.#idle !== null && this.idleSince !== null ? this.#lastUsedAt + this.#idleMs : null,
    };
  }

  #change(change: SandboxChange): void {
    const state = nextSandboxState(this.#sandbox.state, change);
    if (state !== this.#sandbox.state) this.#sandbox = { state, since: Date.now() };
  }

  /** When a run last began or ended here, or an engine was started ahead of one. */
  get lastUsedAt(): number {
    return this.#lastUsedAt;
  }

  /** A link has been opened: says what there is and sends again what was not stored. */
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
    this.#tellParked();
  }

  detach(): void {
    this.#send = null;
  }

  /** Replaces the session's folder by a saved one. Nothing may run meanwhile, and no engine may know the old one. */
  async restore(stream: AsyncIterable<Uint8Array>): ReturnType<RunFiles["restore"]> {
    if (this.#run) throw new Refused("busy", "A run is in progress.");
    this.#warming?.abort();
    await this.#stopEngine();
    return this.files.restore(stream);
  }

  handle(command: Exclude<Command, { type: "hello" }>): void {
    switch (command.type) {
      case "ack":
        this.#outbox.ack(command.frame);
        // Stored: from here on its engine may be spared.
        if (!this.busy) this.#settings.admission.pump();
        return;
      case "ping":
        return this.#send?.({ type: "pong", at: command.at });
      case "run.start":
        return this.#start(command);
      case "engine.warm":
        return void this.warm(command, "warm");
      case "run.interrupt":
        if (this.#run?.command.runId === command.runId) this.interrupt("user");
        return;
      case "tool.answer":
        return this.#questions.answer(command.toolUseId, command.answer);
      default:
        command satisfies never;
    }
  }

  /** Stops the run in progress, whatever it takes; see the grace times above. */
  interrupt(why: NonNullable<ActiveRun["interrupted"]>): void {
    const run = this.#run;
    if (!run || run.interrupted || run.state === "concluding") return;
    run.interrupted = why;
    const engine = this.#engine;
    if (!engine || run.state === "preparing") return this.#end(run, "Stopped before it began.");
    stopTurn(engine, {
      isOver: () => this.#run !== run,
      kill: () => void killMarked(this.#marker).then(() => this.#end(run, "The engine had to be killed.")),
      log: (event, details) => this.#log(event, details),
    });
  }

  /** Takes no more runs, lets go of one that waits for somebody and stops any other. */
  drain(): void {
    this.#draining = true;
    if (!this.#park()) this.interrupt("server_stopped");
  }

  /** Ends the engine and everything it started. A run that waits for somebody is let go of. */
  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    this.#warming?.abort();
    this.#park();
    await this.#stopEngine();
  }

  /**
   * Lets go of a run that does nothing but wait: it needs no engine before it is answered, and then any. The engine is
   * killed, because whatever it were told instead it would take for the answer. False when there is no such run.
   */
  #park(): boolean {
    const run = this.#run;
    if (!run || run.interrupted || !this.#questions.canBeParked) return false;
    const { runId } = run.command;
    const [engine, pass] = [this.#engine, this.#pass];
    this.#questions.forget();
    this.#closeThreads();
    clearTimeout(run.deadline);
    run.over.abort();
    this.#run = null;
    this.#engine = null;
    this.#parking += 1;
    this.#parked = runId;
    this.files.saved.runEnded();
    this.#log("run_parked", { runId });
    this.#stopped = this.#stopped
      .then(() => this.#killAll(pass))
      .then(() => {
        this.#parking -= 1;
        engine?.close();
        this.#outbox.flush();
        this.#tellParked();
      });
    return true;
  }

  /** Once nothing of it is left. */
  #tellParked(): void {
    const [runId, frame] = [this.#parked, this.#outbox.last];
    if (runId !== null && this.#parking === 0) this.#send?.({ type: "parked", runId, frame });
  }

  #start(command: RunStart): void {
    if (this.#run?.command.runId === command.runId || this.#ended.includes(command.runId)) return;
    if (this.#draining || this.#run) {
      this.#log("run_refused", { runId: command.runId, busyWith: this.#run?.command.runId ?? null });
      return this.#send?.({ type: "refused", runId: command.runId });
    }
    if (this.#idle) clearTimeout(this.#idle);
    this.#warming?.abort();
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
    return setTimeout(() => this.interrupt("deadline_exceeded"), command.deadlineMs);
  }

  /**
   * Starts an engine ahead of the first prompt. Resolves when it has started; at once when there is one or the session
   * is busy. Never rejects.
   */
  async warm(start: EngineStart, reason: Exclude<StartReason, "run">): Promise<void> {
    if (this.#draining || this.#run || this.#warming || this.engineAlive) return;
    const warming = (this.#warming = new AbortController());
    this.#idleMs = start.idleMs ?? this.#settings.idleMs;
    const patience = AbortSignal.any([warming.signal, AbortSignal.timeout(WARM_PATIENCE_MS)]);
    try {
      await this.#ensureEngine(start, reason, patience);
      await this.#engine?.started;
    } catch (error) {
      this.#log("warm_up_failed", { error: String(error) });
    } finally {
      this.#warming = null;
    }
    if (!this.#run) this.#rest();
  }

  async #begin(run: ActiveRun): Promise<void> {
    const { command, over } = run;
    const { prompt, context } = await this.files.prepare(run);
    if (this.#run !== run) return;
    await this.#ensureEngine(command, "run", over.signal, {
      told: context !== null,
      onWait: (position) => this.#record({ type: "sandbox.waiting", id: newId("event"), position }),
      ...(command.resume ? { resume: command.resume.calls } : {}),
    });
    if (this.#run !== run) return;
    this.#change("run");
    run.state = "prompted";
    // A resumed conversation goes on by itself.
    if (command.resume) return;
    await this.#engine?.prompt(prompt, command.options.model, command.options.permissionMode, context);
  }

  /**
   * Has an engine that fits, a new one when there is none or it is of another kind, or a run is to be resumed; without
   * one when the signal aborts.
   */
  #ensureEngine(start: EngineStart, reason: StartReason, signal: AbortSignal, wants: EngineWants = {}): Promise<void> {
    const ensured = this.#starts.then(async () => {
      if (signal.aborted) return;
      if (this.#engine && (wants.resume || !this.#engine.fits(start, wants))) await this.#stopEngine();
      await this.#stopped;
      if (this.#engine) return;
      this.#change("start");
      this.#entering = signal;
      const pass = await this.#settings.admission.enter(reason, signal, wants.onWait);
      this.#entering = null;
      try {
        if (!pass || signal.aborted || this.#draining) throw new NotStarted();
        const engine = await this.#startEngine(start, pass, wants);
        void engine.started.then(() => {
          pass.started();
          if (this.#engine === engine) this.#change("started");
        });
      } catch (error) {
        pass?.gone();
        this.#change("end");
        if (!(error instanceof NotStarted)) throw error;
      }
    });
    this.#starts = ensured.catch(() => {});
    return ensured;
  }

  async #startEngine(command: EngineStart, pass: Pass, { told, resume }: EngineWants): Promise<Engine> {
    const folders = await this.files.open();
    const hasConversation = await mendTranscript(folders, command.engineSessionId);
    const resumption = await (resume ? prepareResume : closeDeferred)(folders, command.engineSessionId, resume ?? []);
    if (resumption) {
      this.#state = withCalls(this.#state, resume ?? []);
      for (const event of resumption.results) this.#record({ ...event, id: newId("event") });
      this.#questions.resumeWith(resumption.answers);
    }
    const engine: Engine = new Engine({
      command,
      folders,
      marker: this.#marker,
      path: this.#settings.path,
      caFile: this.#settings.caFile,
      resume: hasConversation,
      resumption,
      told,
      handlers: {
        onMessage: (message) => {
          if (this.#engine !== engine) return;
          if (this.#questions.waiting > 0) this.#waitsFrom();
          const { state, events } = translate(this.#state, message, () => newId("event"));
          this.#state = state;
          for (const event of [...rawEvents(message, this.#run?.command.options), ...events]) this.#record(event);
        },
        onToolRequest: (request, signal) => this.#ask(request, signal),
        onExit: (reason) => {
          if (this.#engine !== engine) return;
          this.#log("engine_exit", { reason });
          if (this.#park()) return;
          this.#engine = null;
          this.#closeThreads();
          const ending = this.#run;
          this.#stopped = this.#killAll(pass).then(() => ending && this.#end(ending, reason));
        },
      },
    });
    this.#engine = engine;
    this.#pass = pass;
    this.#log("engine_start", { model: command.options.model });
    return engine;
  }

  /** Asks whoever sent the prompt, by an event, and waits for the answer for as long as the run lasts. */
  async #ask(request: ToolRequest, signal: AbortSignal): Promise<ToolAnswer> {
    const { toolUseId, agentId } = request;
    const given = this.#questions.take(request);
    if (given) return given;
    const { state, id } = nameToolCall(this.#state, toolUseId, () => newId("event"));
    this.#state = state;
    const run = this.#run;
    if (!run) return { type: "deny", message: "Nobody is there to ask." };
    const isForPeer = request.kind === "peer";
    const canBeParked = !isForPeer && agentId === undefined && (await this.files.keeps(run, toolUseId));
    if (this.#run !== run || signal.aborted) return { type: "deny", message: "The run was stopped." };
    // The time somebody takes to answer is not the run's; another session's is.
    if (!isForPeer) clearTimeout(run.deadline);
    const answered = this.#questions.wait(id, { canBeParked, isForPeer }, signal);
    const thread = agentId === undefined ? undefined : this.#state.threads.byTask[agentId]?.id;
    for (const event of toEvents(request, id, { canBeParked, thread }, () => newId("event"))) this.#record(event);
    if (!isForPeer) this.#waitsFrom();
    const answer = await answered;
    if (!isForPeer && this.#run === run && this.#questions.waiting === 0) {
      if (this.#idle) clearTimeout(this.#idle);
      run.deadline = this.#deadline(run.command);
    }
    return answer;
  }

  /** Sub-agents end with their engine. */
  #closeThreads(): void {
    const { threads, events } = closeThreads(this.#state.threads, [], () => newId("event"), "retries_exhausted");
    this.#state = { ...this.#state, threads };
    for (const event of events) this.#record(event);
  }

  /** The run waits for somebody: its engine stays for as long as that of a session without a run. */
  #waitsFrom(): void {
    this.#lastUsedAt = Date.now();
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.#park(), this.#idleMs);
    this.#idle.unref();
  }

  async #stopEngine(): Promise<void> {
    const [engine, pass] = [this.#engine, this.#pass];
    this.#engine = null;
    this.#closeThreads();
    engine?.close();
    // The transcript is written as it goes; two seconds of grace would only be felt by whoever waits.
    this.#stopped = this.#stopped.then(() => this.#killAll(pass));
    await this.#stopped;
  }

  /** Ends everything the session has started, and gives the engine's place back. */
  async #killAll(pass: Pass | null): Promise<void> {
    await killMarked(this.#marker);
    pass?.gone();
    this.#change("end");
  }

  /** Nothing runs: the engine stays for a while. */
  #rest(): void {
    this.#lastUsedAt = Date.now();
    if (this.engineAlive) this.#change("rest");
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.close(), this.#idleMs);
    this.#idle.unref();
    this.#settings.admission.pump();
  }

  /** Sends an event on its way; the end of the run also ends it here. */
  #record(event: TranslatedEvent & { readonly call?: string }): void {
    const run = this.#run;
    if (event.type === "agent.tool_result") this.#questions.over(event.tool_use_id);
    else if (event.type === "agent.mcp_tool_result") this.#questions.over(event.mcp_tool_use_id);
    if (event.type !== "run.ended") {
      this.#outbox.push(run?.command.runId ?? null, { ...event, at: Date.now() });
      return;
    }
    if (!run) return; // the engine finished something of its own between runs
    this.#conclude(run, { ...event, ...interruption(run), duration_ms: Date.now() - run.startedAt });
  }

  /** Ends a run the engine did not end. */
  #end(run: ActiveRun, reason: string, type: RunError["type"] = "engine_failed"): void {
    if (this.#run !== run) return;
    this.#conclude(run, { id: newId("event"), ...endOf(run, this.#state.lastText, reason, type) });
    this.#state = betweenRuns(this.#state);
  }

  /** Hands over what the agent left for the user, and ends the run: whoever hears of the end finds the files. */
  #conclude(run: ActiveRun, event: TranslatedEvent): void {
    if (run.state === "concluding") return;
    const handedOver = this.files.handOver(run);
    run.state = "concluding";
    clearTimeout(run.deadline);
    void (handedOver ? handedOver.then(() => this.#finish(run, event)) : this.#finish(run, event));
  }

  #finish(run: ActiveRun, event: TranslatedEvent): void {
    run.over.abort();
    this.#questions.end();
    const leftovers = run.interrupted !== null && this.#state.backgroundTasks.length > 0;
    this.#run = null;
    this.files.saved.runEnded();
    this.#ended = [...this.#ended, run.command.runId].slice(-REMEMBERED_RUNS);
    this.#outbox.push(run.command.runId, { ...event, at: Date.now() });
    // An interrupt leaves the engine's background tasks running: whoever stops a run means those too.
    if (leftovers) void this.#stopEngine();
    this.#rest();
  }

  #log(event: string, details: Record<string, unknown>): void {
    this.#settings.log({ event, sessionId: this.#settings.sessionId, ...details });
  }
}
