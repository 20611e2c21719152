import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { AnsweredCall, EngineStart } from "@gantry/protocol/link.ts";
import { nextSandboxState } from "@gantry/protocol/sandbox.ts";
import type { SandboxChange, SandboxState } from "@gantry/protocol/sandbox.ts";
import { guard } from "../base/guarded.ts";
import { Engine } from "../engine/agent.ts";
import type { EngineHandlers, EngineWants } from "../engine/contract.ts";
import { closeDeferred, prepareResume } from "../engine/resume.ts";
import type { Resumption } from "../engine/resume.ts";
import { mendTranscript } from "../engine/transcript.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import { killMarked } from "../processes/processes.ts";
import type { Pass, StartReason } from "./admission.ts";
import type { HostSettings } from "./host-settings.ts";

/** How long a start without a prompt waits for admission. After that, a prompt is unlikely to follow soon. */
const WARM_PATIENCE_MS = 10_000;

/** The start was called off before the engine existed. */
class NotStarted extends Error {}

/** What the slot needs from the host, and what it reports to it. */
interface SlotOwner {
  /** Creates the session's folders, or finds them. */
  readonly openFolders: () => Promise<SessionFolders>;
  /** False once the runner is stopping. */
  readonly mayStart: () => boolean;
  /** A message of the engine that is in the slot. */
  readonly onMessage: (message: SDKMessage) => void;
  readonly onToolRequest: EngineHandlers["onToolRequest"];
  /** The engine is about to continue a conversation that waited for answers. */
  readonly onResume: (resumption: Resumption, calls: readonly AnsweredCall[]) => void;
  /** The engine has exited by itself. The owner must call `stop` or `kill`. */
  readonly onExit: (reason: string) => void;
  /** The engine leaves the slot, however that came about. */
  readonly onGone: () => void;
  readonly log: (event: string, details: Record<string, unknown>) => void;
}

/** Holds a session's one engine: starts it when it is needed, and ends it with everything it started. */
export class EngineSlot {
  readonly #settings: HostSettings;
  readonly #marker: string;
  readonly #owner: SlotOwner;
  #engine: Engine | null = null;
  #pass: Pass | null = null;
  #status: { state: SandboxState; since: number } = { state: "stopped", since: Date.now() };
  /** The signal of the start that waits for admission. */
  #entering: AbortSignal | null = null;
  /** Aborts a start without a prompt. A start with one takes precedence. */
  #warming: AbortController | null = null;
  /** Starts happen one after another. */
  #starts: Promise<unknown> = Promise.resolve();
  /** The end of the previous engine. The next start waits for it, because both carry the same marker. */
  #stopped: Promise<unknown> = Promise.resolve();

  constructor(settings: HostSettings, marker: string, owner: SlotOwner) {
    this.#settings = settings;
    this.#marker = marker;
    this.#owner = owner;
  }

  /** The engine; it may have exited a moment ago. */
  get engine(): Engine | null {
    return this.#engine;
  }

  get alive(): boolean {
    return this.#engine?.alive ?? false;
  }

  /** The state of the sandbox, and since when (ms since the epoch). */
  get status(): { readonly state: SandboxState; readonly since: number } {
    return this.#status;
  }

  /** How many starts come before the one that waits; null when none waits. */
  get position(): number | null {
    return this.#entering && this.#settings.admission.positionOf(this.#entering);
  }

  /** Applies a change to the state of the sandbox. */
  change(change: SandboxChange): void {
    const state = nextSandboxState(this.#status.state, change);
    if (state !== this.#status.state) this.#status = { state, since: Date.now() };
  }

  /**
   * Makes sure of an engine that fits. Starts a new one when there is none, when the present one has another profile, or when
   * a run is to be resumed. When the signal aborts, or the runner is stopping, the slot may stay empty. Rejects when the
   * engine cannot be set up.
   */
  ensure(start: EngineStart, reason: StartReason, signal: AbortSignal, wants: EngineWants = {}): Promise<void> {
    const ensured = this.#starts.then(async () => {
      if (signal.aborted) return;
      if (this.#engine && (wants.resume || !this.#engine.fits(start, wants))) await this.stop();
      await this.#stopped;
      if (this.#engine) return;
      this.change("start");
      this.#entering = signal;
      const pass = await this.#settings.admission.enter(reason, signal, wants.onWait);
      this.#entering = null;
      try {
        if (!pass || signal.aborted || !this.#owner.mayStart()) throw new NotStarted();
        const engine = await this.#start(start, pass, wants);
        guard("engine_started", () =>
          engine.started.then(() => {
            pass.started();
            if (this.#engine === engine) this.change("started");
          }),
        );
      } catch (error) {
        pass?.gone();
        this.change("end");
        if (!(error instanceof NotStarted)) throw error;
      }
    });
    this.#starts = ensured.catch(() => {});
    return ensured;
  }

  /** Whether an engine is being started ahead of a prompt. */
  get isWarming(): boolean {
    return this.#warming !== null;
  }

  /** Starts an engine ahead of a prompt. Resolves when it has started or the start was called off. Never rejects. */
  async warm(start: EngineStart, reason: StartReason): Promise<void> {
    const warming = (this.#warming = new AbortController());
    const patience = AbortSignal.any([warming.signal, AbortSignal.timeout(WARM_PATIENCE_MS)]);
    try {
      await this.ensure(start, reason, patience);
      await this.#engine?.started;
    } catch (error) {
      this.#owner.log("warm_up_failed", { error: String(error) });
    } finally {
      this.#warming = null;
    }
  }

  /** Calls off a start ahead of a prompt that still waits for admission. */
  cancelWarming(): void {
    this.#warming?.abort();
  }

  /** Closes the engine and kills everything the session started. Resolves when nothing of it is left. */
  stop(): Promise<void> {
    const { engine, pass } = this.#vacate();
    engine?.close();
    // The engine writes its transcript as it goes, so a grace time would only delay the caller.
    return this.#afterStop(() => this.#killAll(pass));
  }

  /** Like `stop`, but kills before it closes, so that the engine cannot react to the end of its input. */
  kill(): Promise<void> {
    const { engine, pass } = this.#vacate();
    return this.#afterStop(async () => {
      await this.#killAll(pass);
      engine?.close();
    });
  }

  #vacate(): { engine: Engine | null; pass: Pass | null } {
    const [engine, pass] = [this.#engine, this.#pass];
    this.#engine = null;
    this.#owner.onGone();
    return { engine, pass };
  }

  #afterStop(finish: () => Promise<void>): Promise<void> {
    const stopped = this.#stopped.then(finish);
    this.#stopped = stopped;
    return stopped;
  }

  /** Kills everything the session started, and returns the engine's pass. */
  async #killAll(pass: Pass | null): Promise<void> {
    await killMarked(this.#marker);
    pass?.gone();
    this.change("end");
  }

  async #start(command: EngineStart, pass: Pass, { hasContext, resume }: EngineWants): Promise<Engine> {
    const folders = await this.#owner.openFolders();
    const hasConversation = await mendTranscript(folders, command.engineSessionId);
    const resumption = await (resume ? prepareResume : closeDeferred)(folders, command.engineSessionId, resume ?? []);
    if (resumption) this.#owner.onResume(resumption, resume ?? []);
    const engine: Engine = new Engine({
      command,
      folders,
      marker: this.#marker,
      path: this.#settings.path,
      caFile: this.#settings.caFile,
      resume: hasConversation,
      resumption,
      hasContext,
      handlers: {
        onMessage: (message) => {
          if (this.#engine === engine) this.#owner.onMessage(message);
        },
        onToolRequest: this.#owner.onToolRequest,
        onExit: (reason) => {
          if (this.#engine !== engine) return;
          this.#owner.log("engine_exit", { reason });
          this.#owner.onExit(reason);
        },
      },
    });
    this.#engine = engine;
    this.#pass = pass;
    this.#owner.log("engine_start", { model: command.options.model });
    return engine;
  }
}
