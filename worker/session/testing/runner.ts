import { Command } from "@gantry/protocol/link.ts";
import { MessageAssembler, toMessages } from "@gantry/protocol/link-messages.ts";
import type { AnsweredCall, FramedEvent, Report, RunStart, ToolAnswer } from "@gantry/protocol/link.ts";
import { Outbox } from "../../../runner/host/outbox.ts";

/** The last message on a wire: its close. */
export const CLOSED: unique symbol = Symbol("closed");
/** The same, when the runner closed it over an unreadable message. */
export const UNREAD: unique symbol = Symbol("unread");
export type WireMessage = string | typeof CLOSED | typeof UNREAD;

/**
 * A link as a network sees it: messages in order in both directions. The test decides when each is delivered; all are
 * lost with the link. An end learns of the close only when that message reaches it.
 */
export class Wire {
  readonly up: WireMessage[] = [];
  readonly down: WireMessage[] = [];
  #cut = false;

  send(direction: "up" | "down", message: WireMessage): void {
    if (!this.#cut) this[direction].push(message);
  }

  /** Loses what is in flight. Ends that are not notified still believe in the link. */
  cut(tell: { session: boolean; runner: boolean }): void {
    if (this.#cut) return;
    this.#cut = true;
    this.up.length = 0;
    this.down.length = 0;
    if (tell.session) this.up.push(CLOSED);
    if (tell.runner) this.down.push(CLOSED);
  }
}

/** What happened on a runner to one run, for the auditor. */
interface Worked {
  readonly runId: string;
  /** Another engine had been given its prompt before. */
  readonly resumed: boolean;
  readonly events: FramedEvent[];
}

interface Active {
  readonly command: RunStart;
  readonly work: Worked;
  stop: "user" | "server_stopped" | "engine_failed" | null;
  /** Calls that wait for an answer. */
  readonly waiting: string[];
  /** Calls that were answered and have no result yet. */
  readonly begun: Map<string, ToolAnswer>;
}

/**
 * The runner as the session sees it: the rules of `runner/http/server.ts` (which link counts) and `runner/host/session-host.ts`
 * (which run is taken), around the real outbox. The test plays the engine by calling `work`.
 */
export class SimulatedRunner {
  readonly id: string;
  /** Closes the link over each start, as if it were unreadable. */
  cannotRead = false;
  /** Runs that began here, in order: each is a prompt applied. */
  readonly worked: Worked[] = [];
  /** What the engine said between runs. */
  readonly errands: FramedEvent[] = [];
  /** Calls that were allowed and have run here. */
  readonly effects: string[] = [];
  readonly #newEventId: () => string;
  readonly #outbox = new Outbox((frame) => this.#send(frame));
  readonly #assemblers = new Map<Wire, MessageAssembler>();
  #current: { wire: Wire; epoch: number } | null = null;
  #active: Active | null = null;
  #ended: string[] = [];
  #parked: string | null = null;
  #draining = false;

  constructor(id: string, newEventId: () => string) {
    this.id = id;
    this.#newEventId = newEventId;
  }

  /** The run in progress. */
  get busy(): string | null {
    return this.#active?.command.runId ?? null;
  }

  /** Whether it was told to stop the run. */
  get stopping(): boolean {
    return (this.#active?.stop ?? null) !== null;
  }

  hear(wire: Wire, message: WireMessage): void {
    if (message === CLOSED || message === UNREAD) {
      if (this.#current?.wire === wire) this.#current = null;
      return;
    }
    const assembler = this.#assemblers.get(wire) ?? new MessageAssembler();
    this.#assemblers.set(wire, assembler);
    const value = assembler.push(message);
    if (value === undefined) return;
    const command = Command.parse(value);
    if (command.type === "run.start" && this.cannotRead) {
      this.#current = null;
      wire.cut({ session: false, runner: false });
      wire.up.push(UNREAD);
      return;
    }
    if (command.type === "hello") this.#greet(wire, command);
    else if (this.#current?.wire === wire) this.#handle(command);
  }

  /** Whether the run in progress only waits for an answer. */
  get waits(): boolean {
    return this.#active !== null && this.#active.waiting.length > 0 && this.#active.begun.size === 0;
  }

  /**
   * One action of the engine: a message, a piece of text, a question, or the end of its run. Answered calls come first.
   * While it waits it does nothing, unless it asks something else at the same time.
   */
  work(what: "message" | "delta" | "ask" | "end"): void {
    const run = this.#active;
    const at = Date.now();
    if (run?.stop === null) {
      for (const [id, answer] of run.begun) this.#result(run, id, answer);
      if (what === "ask") return this.#ask(run);
      if (run.waiting.length > 0) return;
    }
    if (!run) {
      if (what !== "message") return;
      const errand: FramedEvent = { id: this.#newEventId(), at, type: "agent.message", content: [] };
      this.errands.push(errand);
      this.#outbox.push(null, errand);
    } else if (what === "end" || run.stop !== null) {
      this.#end(run);
    } else if (what === "message") {
      this.#record(run.work, {
        id: this.#newEventId(),
        at,
        type: "agent.message",
        content: [{ type: "text", text: "m" }],
      });
    } else {
      const content = { type: "text" as const, text: String(run.work.events.length % 10) };
      const delta = { type: "content_delta" as const, index: 0, content };
      this.#record(run.work, {
        id: this.#newEventId(),
        at,
        type: "event_delta",
        event_id: `p_${run.work.runId}`,
        delta,
      });
    }
  }

  /** Told to end: accepts nothing more, lets go of a run that waits and stops any other. */
  drain(): void {
    this.#draining = true;
    this.park();
    if (this.#active) this.#active.stop ??= "server_stopped";
  }

  /** The engine is killed: a run that waits continues without it, any other is stopped. */
  killEngine(): void {
    this.park();
    if (this.#active) this.#active.stop ??= "engine_failed";
  }

  /** Lets go of a run that only waits. */
  park(): void {
    const run = this.#active;
    if (!run || !this.waits || run.stop !== null) return;
    const { runId } = run.command;
    this.#active = null;
    this.#parked = runId;
    this.#outbox.flush();
    this.#send({ type: "parked", runId, frame: this.#outbox.last });
  }

  /** The runner is gone with all its state. The other ends of its links are notified, or not. */
  die(tell: boolean): void {
    this.#current?.wire.cut({ session: tell, runner: false });
    this.#current = null;
    this.#outbox.ack(Infinity);
  }

  #greet(wire: Wire, hello: Extract<Command, { type: "hello" }>): void {
    const current = this.#current;
    if (current && current.wire !== wire) {
      if (hello.epoch <= current.epoch) return wire.send("up", CLOSED);
      current.wire.send("up", CLOSED);
    }
    this.#current = { wire, epoch: hello.epoch };
    this.#send({
      type: "welcome",
      protocol: 1,
      runnerId: this.id,
      activeRunId: this.#active?.command.runId ?? null,
      endedRunIds: this.#ended,
      ...(this.#parked === null ? {} : { parkedRunId: this.#parked }),
    });
    const after = hello.cursor?.runnerId === this.id ? hello.cursor.frame : 0;
    for (const frame of this.#outbox.since(after)) this.#send(frame);
    if (this.#parked !== null) this.#send({ type: "parked", runId: this.#parked, frame: this.#outbox.last });
  }

  #handle(command: Exclude<Command, { type: "hello" }>): void {
    switch (command.type) {
      case "ack":
        return this.#outbox.ack(command.frame);
      case "ping":
        return this.#send({ type: "pong", at: command.at });
      case "run.start":
        return this.#start(command);
      case "run.interrupt":
        if (this.#active?.command.runId === command.runId) this.#active.stop ??= "user";
        return;
      case "tool.answer": {
        const run = this.#active;
        const at = run?.waiting.indexOf(command.toolUseId) ?? -1;
        if (!run || at < 0 || run.stop !== null) return;
        run.waiting.splice(at, 1);
        return this.#run(run, command.toolUseId, command.answer);
      }
      case "engine.warm":
        return;
      default:
        command satisfies never;
    }
  }

  #start(command: RunStart): void {
    const { runId } = command;
    if (this.#active?.command.runId === runId || this.#ended.includes(runId)) return;
    if (this.#draining || this.#active) return this.#send({ type: "refused", runId });
    this.#parked = null;
    const work: Worked = { runId, resumed: command.resume !== undefined, events: [] };
    this.worked.push(work);
    const run: Active = { command, work, stop: null, waiting: [], begun: new Map() };
    this.#active = run;
    for (const { toolUseId, answer } of command.resume?.calls ?? ([] as AnsweredCall[]))
      this.#run(run, toolUseId, answer);
  }

  #ask(run: Active): void {
    const id = this.#newEventId();
    run.waiting.push(id);
    this.#record(run.work, {
      id: this.#newEventId(),
      at: Date.now(),
      type: "approval.requested",
      tool_use_id: id,
      tool: "Bash",
      input: { command: id },
      call: `toolu_${id}`,
    });
  }

  /** An answered call begins; it may never get to its result. */
  #run(run: Active, id: string, answer: ToolAnswer): void {
    if (answer.type === "allow") this.effects.push(id);
    run.begun.set(id, answer);
  }

  #result(run: Active, id: string, answer: ToolAnswer): void {
    run.begun.delete(id);
    const is_error = answer.type !== "allow";
    const at = Date.now();
    this.#record(run.work, {
      id: this.#newEventId(),
      at,
      type: "agent.tool_result",
      tool_use_id: id,
      content: [],
      is_error,
    });
  }

  #end(run: Active): void {
    const failed = { type: run.stop === "engine_failed" ? run.stop : ("server_stopped" as const), message: "" };
    const outcome = run.stop === null ? "succeeded" : run.stop === "user" ? "interrupted" : "failed";
    this.#active = null;
    this.#ended.push(run.command.runId);
    this.#record(run.work, {
      id: this.#newEventId(),
      at: Date.now(),
      type: "run.ended",
      outcome,
      result: "",
      error: outcome === "failed" ? failed : null,
      usage: null,
      num_turns: 1,
      duration_ms: 1,
    });
  }

  #record(work: Worked, event: FramedEvent): void {
    work.events.push(event);
    this.#outbox.push(work.runId, event);
  }

  #send(report: Report): void {
    for (const message of toMessages(report)) this.#current?.wire.send("up", message);
  }
}
