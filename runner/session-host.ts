import { newId, primaryThreadId } from "@gantry/protocol/ids.ts";
import type { RunError } from "@gantry/protocol/event.ts";
import type { Command, EngineStart, Frame, Report, RunStart, ToolAnswer } from "@gantry/protocol/link.ts";
import { PROTOCOL_VERSION } from "@gantry/protocol/link.ts";
import { nextSandboxState } from "@gantry/protocol/sandbox.ts";
import type { SandboxChange, SandboxReport, SandboxState } from "@gantry/protocol/sandbox.ts";
import type { Admission, Pass, StartReason } from "./admission.ts";
import { Engine, engineProfile } from "./agent.ts";
import { clipInput } from "./clip.ts";
import type { ToolRequest } from "./agent.ts";
import type { SessionFolders } from "./environment.ts";
import { Outbox } from "./outbox.ts";
import { killMarked } from "./processes.ts";
import { betweenRuns, initialState, nameToolCall, translate } from "./translate.ts";
import type { TranslateState, TranslatedEvent } from "./translate.ts";
import { closeThreads, noThreads } from "./threads.ts";
import { hasTranscript, openFolders } from "./workspace.ts";

/** How long an interrupted engine may take to say so before its input is closed, and then before it is killed. */
const INTERRUPT_GRACE_MS = 1_500;
const CLOSE_GRACE_MS = 2_500;

/** How long a start ahead of a prompt waits for a place; after that nobody is about to send one. */
const WARM_PATIENCE_MS = 10_000;

/** Ended runs that are remembered, so that a start that comes twice does not run twice. */
const REMEMBERED_RUNS = 200;

export interface HostSettings {
  readonly sessionId: string;
  readonly runnerId: string;
  readonly root: string;
  readonly workspace?: string;
  readonly caFile?: string;
  /** Prefix of the marker that all processes of this runner's state folder carry. */
  readonly markerPrefix: string;
  readonly path: string;
  /** An engine without a run is ended after this time. */
  readonly idleMs: number;
  /** Admits engine starts. */
  readonly admission: Admission;
  /** What an engine that is started before the session is made shows the router. */
  readonly engineToken?: string;
  readonly log: (entry: Record<string, unknown>) => void;
}

interface ActiveRun {
  readonly command: RunStart;
  readonly startedAt: number;
  interrupted: RunError["type"] | "user" | null;
  deadline: NodeJS.Timeout;
  /** Aborted when the run is over: it may still wait for its engine. */
  readonly over: AbortController;
}

/**
 * One session on this runner: its engine, the run in progress and the frames that wait to be stored.
 * Knows nothing of the queue: the session starts one run at a time and a second start is refused.
 */
export class SessionHost {
  readonly #settings: HostSettings;
  readonly #outbox: Outbox;
  readonly #marker: string;
  #send: ((report: Report) => void) | null = null;
  #folders: SessionFolders | null = null;
  #engine: Engine | null = null;
  #run: ActiveRun | null = null;
  #ended: string[] = [];
  #state: TranslateState;
  /** Tool calls that wait for somebody, by event id. */
  readonly #waiting = new Map<string, (answer: ToolAnswer) => void>();
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
    this.#outbox = new Outbox((frame) => this.#send?.(frame));
    this.#state = { ...initialState, threads: noThreads(primaryThreadId(settings.sessionId)) };
  }

  /** Something is running or unsaved: the runner may not forget this session. */
  get busy(): boolean {
    return this.#run !== null || this.#outbox.pending;
  }

  get engineAlive(): boolean {
    return this.#engine?.alive ?? false;
  }

  /** Since when its engine could be spared for another session; null while it could not. */
  get idleSince(): number | null {
    return this.engineAlive && !this.busy ? this.#lastUsedAt : null;
  }

  /** How it is now. */
  get sandbox(): SandboxReport {
    const { admission, runnerId } = this.#settings;
    const rests = this.#idle !== null && this.idleSince !== null;
    return {
      runnerId,
      ...this.#sandbox,
      position: this.#entering && admission.positionOf(this.#entering),
      sleepsAt: rests ? this.#lastUsedAt + this.#idleMs : null,
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
  attach(send: (report: Report) => void, cursor: { runnerId: string; frame: number } | null): void {
    this.#send = send;
    send({
      type: "welcome",
      protocol: PROTOCOL_VERSION,
      runnerId: this.#settings.runnerId,
      activeRunId: this.#run?.command.runId ?? null,
      endedRunIds: this.#ended,
      ...(this.#settings.engineToken === undefined ? {} : { engineToken: this.#settings.engineToken }),
    });
    const after = cursor?.runnerId === this.#settings.runnerId ? cursor.frame : 0;
    for (const frame of this.#outbox.since(after)) send(frame satisfies Frame);
  }

  detach(): void {
    this.#send = null;
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
        return this.#waiting.get(command.toolUseId)?.(command.answer);
      default:
        command satisfies never;
    }
  }

  /** Stops the run in progress, whatever it takes; see the grace times above. */
  interrupt(why: NonNullable<ActiveRun["interrupted"]>): void {
    const run = this.#run;
    if (!run || run.interrupted) return;
    run.interrupted = why;
    const engine = this.#engine;
    if (!engine) return this.#end(run, "Stopped before it began.");
    engine.interrupt().catch((error: unknown) => this.#log("interrupt_failed", { error: String(error) }));
    setTimeout(() => {
      if (this.#run !== run) return;
      this.#log("interrupt_escalated", { step: "close" });
      engine.close();
      setTimeout(() => {
        if (this.#run !== run) return;
        this.#log("interrupt_escalated", { step: "kill" });
        void killMarked(this.#marker).then(() => this.#end(run, "The engine had to be killed."));
      }, CLOSE_GRACE_MS);
    }, INTERRUPT_GRACE_MS);
  }

  /** Takes no more runs and stops the one in progress. */
  drain(): void {
    this.#draining = true;
    this.interrupt("server_stopped");
  }

  /** Ends the engine and everything it started. */
  async close(): Promise<void> {
    if (this.#idle) clearTimeout(this.#idle);
    this.#warming?.abort();
    await this.#stopEngine();
  }

  #start(command: RunStart): void {
    if (this.#run?.command.runId === command.runId || this.#ended.includes(command.runId)) return;
    if (this.#draining || this.#run) {
      this.#log("run_refused", { runId: command.runId, busyWith: this.#run?.command.runId ?? null });
      return this.#send?.({ type: "refused", runId: command.runId });
    }
    if (this.#idle) clearTimeout(this.#idle);
    this.#warming?.abort();
    const run: ActiveRun = {
      command,
      startedAt: Date.now(),
      interrupted: null,
      deadline: this.#deadline(command),
      over: new AbortController(),
    };
    this.#run = run;
    this.#idleMs = command.idleMs ?? this.#settings.idleMs;
    this.#lastUsedAt = Date.now();
    this.#begin(run).catch((error: unknown) => this.#end(run, error instanceof Error ? error.message : String(error)));
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
    await this.#ensureEngine(command, "run", over.signal, (position) =>
      this.#record({ type: "sandbox.waiting", id: newId("event"), position }),
    );
    if (this.#run !== run) return;
    this.#change("run");
    await this.#engine?.prompt(command.prompt, command.options.model, command.options.permissionMode);
  }

  /** Has an engine of this profile, a new one when there is none or it is of another; without one when the signal aborts. */
  #ensureEngine(
    start: EngineStart,
    reason: StartReason,
    signal: AbortSignal,
    onWait?: (position: number) => void,
  ): Promise<void> {
    const ensured = this.#starts.then(async () => {
      if (signal.aborted) return;
      if (this.#engine && (!this.#engine.alive || this.#engine.profile !== engineProfile(start)))
        await this.#stopEngine();
      await this.#stopped;
      if (this.#engine) return;
      this.#change("start");
      this.#entering = signal;
      const pass = await this.#settings.admission.enter(reason, signal, onWait);
      this.#entering = null;
      try {
        if (!pass || signal.aborted || this.#draining) throw new NotStarted();
        const engine = await this.#startEngine(start, pass);
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

  async #startEngine(command: EngineStart, pass: Pass): Promise<Engine> {
    const { root, sessionId, workspace } = this.#settings;
    this.#folders ??= await openFolders(root, sessionId, workspace);
    const folders = this.#folders;
    const engine: Engine = new Engine({
      command,
      folders,
      marker: this.#marker,
      path: this.#settings.path,
      caFile: this.#settings.caFile,
      resume: hasTranscript(folders, command.engineSessionId),
      handlers: {
        onMessage: (message) => {
          if (this.#engine !== engine) return;
          const { state, events } = translate(this.#state, message, () => newId("event"));
          this.#state = state;
          for (const event of events) this.#record(event);
        },
        onToolRequest: (request, signal) => this.#ask(request, signal),
        onExit: (reason) => {
          if (this.#engine !== engine) return;
          this.#engine = null;
          this.#closeThreads();
          this.#log("engine_exit", { reason });
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
  async #ask({ kind, toolUseId, tool, input, agentId }: ToolRequest, signal: AbortSignal): Promise<ToolAnswer> {
    const { state, id } = nameToolCall(this.#state, toolUseId, () => newId("event"));
    this.#state = state;
    const run = this.#run;
    if (!run) return { type: "deny", message: "Nobody is there to ask." };
    // The time somebody takes to answer is not the run's.
    clearTimeout(run.deadline);
    const answered = new Promise<ToolAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      signal.addEventListener("abort", () => resolve({ type: "deny", message: "The run was stopped." }), {
        once: true,
      });
    });
    const thread = agentId === undefined ? undefined : this.#state.threads.byTask[agentId]?.id;
    // Who answers reads the primary thread.
    if (kind === "permission" && thread !== undefined)
      this.#record({ type: "agent.tool_use", id, name: tool, input: clipInput(input), session_thread_id: thread });
    if (kind === "client") this.#record({ type: "agent.custom_tool_use", id, name: tool, input: clipInput(input) });
    else
      this.#record({ type: "approval.requested", id: newId("event"), tool_use_id: id, tool, input: clipInput(input) });
    const answer = await answered;
    this.#waiting.delete(id);
    if (this.#run === run && this.#waiting.size === 0) run.deadline = this.#deadline(run.command);
    return answer;
  }

  /** Sub-agents end with their engine. */
  #closeThreads(): void {
    const { threads, events } = closeThreads(this.#state.threads, [], () => newId("event"), "retries_exhausted");
    this.#state = { ...this.#state, threads };
    for (const event of events) this.#record(event);
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
  #record(event: TranslatedEvent): void {
    const run = this.#run;
    if (event.type !== "run.ended") {
      this.#outbox.push(run?.command.runId ?? null, { ...event, at: Date.now() });
      return;
    }
    if (!run) return; // the engine finished something of its own between runs
    const why = run.interrupted;
    const outcome = why === "user" ? { outcome: "interrupted" as const, error: null } : why ? failed(why) : {};
    this.#finish(run, { ...event, ...outcome, duration_ms: Date.now() - run.startedAt });
  }

  /** Ends a run the engine did not end. */
  #end(run: ActiveRun, reason: string): void {
    if (this.#run !== run) return;
    const why = run.interrupted;
    const outcome =
      why === "user" ? { outcome: "interrupted" as const, error: null } : failed(why ?? "engine_failed", reason);
    this.#finish(run, {
      type: "run.ended",
      id: newId("event"),
      result: this.#state.lastText,
      usage: null,
      num_turns: 0,
      duration_ms: Date.now() - run.startedAt,
      ...outcome,
    });
    this.#state = betweenRuns(this.#state);
  }

  #finish(run: ActiveRun, event: TranslatedEvent): void {
    clearTimeout(run.deadline);
    run.over.abort();
    for (const answer of this.#waiting.values()) answer({ type: "deny", message: "The run has ended." });
    const leftovers = run.interrupted !== null && this.#state.backgroundTasks.length > 0;
    this.#run = null;
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

/** Whoever wanted the engine no longer does. */
class NotStarted extends Error {}

function failed(type: RunError["type"], reason = ""): { outcome: "failed"; error: RunError } {
  const said: Partial<Record<RunError["type"], string>> = {
    deadline_exceeded: "The run took longer than it may and was stopped.",
    server_stopped: "The server was stopped while this ran; the next prompt continues the session.",
  };
  const message = said[type] ?? (reason || "The run failed.");
  return { outcome: "failed", error: { type, message } };
}
