import { Command, MessageAssembler, toMessages } from "@gantry/protocol/link.ts";
import type { FramedEvent, Report, RunStart } from "@gantry/protocol/link.ts";
import { Outbox } from "../../../runner/outbox.ts";

/** The last thing an end hears of a wire. */
export const CLOSED: unique symbol = Symbol("closed");
/** The same, when the runner closed it over something that it could not read. */
export const UNREAD: unique symbol = Symbol("unread");
export type WireMessage = string | typeof CLOSED | typeof UNREAD;

/**
 * A link as a network sees it: messages in order in both directions, each delivered when the test says so, and lost
 * with the link. An end hears of the close only when that reaches it.
 */
export class Wire {
  readonly up: WireMessage[] = [];
  readonly down: WireMessage[] = [];
  #cut = false;

  send(direction: "up" | "down", message: WireMessage): void {
    if (!this.#cut) this[direction].push(message);
  }

  /** Loses what is under way. Ends that are not told go on believing in the link. */
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
  readonly events: FramedEvent[];
}

interface Active {
  readonly command: RunStart;
  readonly work: Worked;
  stop: "user" | "server_stopped" | null;
}

/**
 * The runner as the session knows it: the rules of `runner/server.ts` (which link counts) and `runner/session-host.ts`
 * (which run is taken), around the real outbox. The engine is whoever calls `work`.
 */
export class SimulatedRunner {
  readonly id: string;
  /** Closes the link over each start, as over something that is not in the contract. */
  cannotRead = false;
  /** Runs that were begun here, in order: each is a prompt applied. */
  readonly worked: Worked[] = [];
  /** What the engine said between runs. */
  readonly errands: FramedEvent[] = [];
  readonly #newEventId: () => string;
  readonly #outbox = new Outbox((frame) => this.#send(frame));
  readonly #assemblers = new Map<Wire, MessageAssembler>();
  #current: { wire: Wire; epoch: number } | null = null;
  #active: Active | null = null;
  #ended: string[] = [];
  #draining = false;

  constructor(id: string, newEventId: () => string) {
    this.id = id;
    this.#newEventId = newEventId;
  }

  /** The run in progress. */
  get busy(): string | null {
    return this.#active?.command.runId ?? null;
  }

  /** Whether it was told to stop it. */
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

  /** The engine does something: a message, a piece of text, or the end of what it is at. */
  work(what: "message" | "delta" | "end"): void {
    const run = this.#active;
    const at = Date.now();
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

  /** Told to end: takes nothing more and stops what it does. */
  drain(): void {
    this.#draining = true;
    if (this.#active) this.#active.stop ??= "server_stopped";
  }

  /** Gone with everything it knew. Whoever has a link hears of it, or not. */
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
    });
    const after = hello.cursor?.runnerId === this.id ? hello.cursor.frame : 0;
    for (const frame of this.#outbox.since(after)) this.#send(frame);
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
      case "tool.answer":
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
    const work: Worked = { runId, events: [] };
    this.worked.push(work);
    this.#active = { command, work, stop: null };
  }

  #end(run: Active): void {
    const failed = { type: "server_stopped" as const, message: "" };
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
