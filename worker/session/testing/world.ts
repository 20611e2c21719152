import { newId } from "@gantry/protocol/ids.ts";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { CLOSE, Report } from "@gantry/protocol/link.ts";
import { MessageAssembler, toMessages } from "@gantry/protocol/link-messages.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import { vi } from "vitest";
import { NoCapacity } from "../../sandbox/sandbox.ts";
import { Approvals } from "../store/approvals.ts";
import { Driver } from "../drive/driver.ts";
import { LINGER_MS } from "../link/runner-link.ts";
import { EventLog } from "../log/event-log.ts";
import { Lease } from "../store/lease.ts";
import type { Link, LinkHandlers } from "../link/dial.ts";
import { Peers } from "../drive/peers.ts";
import { RunQueue } from "../store/run-queue.ts";
import { textOf } from "../../storage/sql.ts";
import { Threads } from "../log/threads.ts";
import { CLOSED, SimulatedRunner, UNREAD, Wire } from "./runner.ts";
import type { TriageStep } from "../../triage/triage.ts";
import type { WireMessage } from "./runner.ts";
import { remembered } from "../../storage/remembered.ts";
import { memoryDatabase } from "./sqlite.ts";

/** Time until a dial is answered. */
const DIAL_TIMEOUT_MS = 5_000;
/** Time a runner takes to end when told to. */
const DRAIN_MS = 8_000;

const OPTIONS: RunOptions = { model: "demo/claude", permissionMode: "acceptEdits", maxTurns: 3 };

/** The in-memory state of a session's object; lost when it is evicted. */
interface LiveObject {
  readonly driver: Driver;
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly wires: Set<Wire>;
  dead: boolean;
}

interface PendingDial {
  readonly object: LiveObject;
  readonly hello: { epoch: number; cursor: { runnerId: string; frame: number } | null };
  readonly handlers: LinkHandlers;
  readonly resolve: (link: Link) => void;
  readonly reject: (error: Error) => void;
}

/** The object dies in a turn: before its writes are durable, or after that and before anything it sent has left. */
export type Crash = "before" | "after";

/**
 * One session on a disk, its object, its runners and the network between them. Nothing happens by itself: the test
 * delivers messages, answers dials, advances time and breaks things. Needs vitest's fake timers for its clock.
 *
 * Like the real runtime it keeps or loses the writes of a turn together, and holds a turn's output until they are durable.
 */
export class World {
  readonly #database = memoryDatabase();
  readonly runners: SimulatedRunner[] = [];
  readonly wires: { wire: Wire; hear: (message: WireMessage) => void; runner: SimulatedRunner }[] = [];
  readonly deaths: number[] = [];
  readonly failedDials: number[] = [];
  /** Runs whose submission was confirmed. */
  readonly accepted: string[] = [];
  /** Answers that were confirmed. */
  readonly answered: { id: string; answer: "allow" | "deny" }[] = [];
  reachable = true;
  /** Whether a machine is free for the sandbox. */
  hasPlace = true;
  /** Triage steps that look at prompts before they are sent. */
  triage: readonly TriageStep[] = [];
  nextTurn: Crash | null = null;
  /** The transaction after this many more finds a full disk and is rolled back; null: none. */
  diskFullAfter: number | null = null;
  #dials: PendingDial[] = [];
  #alarmAt: number | null = null;
  #object: LiveObject | null = null;
  #events = 0;
  #turn: { outgoing: (() => void)[] } | null = null;
  #transactions = 0;

  constructor() {
    this.replaceRunner();
  }

  get runner(): SimulatedRunner {
    const last = this.runners.at(-1);
    if (!last) throw new Error("no runner");
    return last;
  }

  /** The log as a reader sees it. */
  events(): StoredEvent[] {
    const log = new EventLog(this.#database.sql);
    const events: StoredEvent[] = [];
    for (let page = log.after(0, 500); page.lines.length > 0; page = log.after(page.last, 500))
      events.push(...page.lines.map((line) => JSON.parse(line) as StoredEvent));
    return events;
  }

  /** Resolves when readers of the log are woken. */
  woken(): Promise<void> {
    return this.#object?.log.changed() ?? Promise.reject(new Error("the object is not in memory"));
  }

  /** Ids of all stored runs, in order. */
  runs(): { id: string; state: string }[] {
    return this.#database.sql.exec("SELECT id, state FROM runs ORDER BY place").toArray() as {
      id: string;
      state: string;
    }[];
  }

  submit(): string {
    const runId = newId("run");
    this.#inTurn(
      (object) => {
        object.driver.expect();
        this.#database.transaction(() => {
          const event = (fields: object): Parameters<EventLog["append"]>[0][number] => ({
            id: this.#newEventId(),
            runId,
            at: Date.now(),
            event: fields as never,
          });
          const promptSeq = object.log.append([
            event({ type: "run.queued", position: object.queue.queued(), trigger: "api" }),
            event({ type: "user.message", content: [{ type: "text", text: runId }] }),
          ]);
          object.queue.add({ id: runId, trigger: "api", options: OPTIONS, promptSeq, now: Date.now() });
        });
        object.log.announce();
        object.driver.kick();
      },
      () => this.accepted.push(runId),
    );
    return runId;
  }

  /** Whether there was something to interrupt. */
  interrupt(): boolean {
    let interrupted = false;
    this.#inTurn((object) => void (interrupted = object.driver.interrupt()));
    return interrupted;
  }

  /** Takes the newest run out of the queue, or stops it. */
  cancel(): void {
    const runId = this.runs().at(-1)?.id ?? "";
    this.#inTurn((object) => void object.driver.cancel(runId));
  }

  /** A client answers the oldest, or the newest, waiting call. Returns whether one waited. */
  answer(which: "oldest" | "newest", answer: "allow" | "deny"): boolean {
    const open = this.#database.sql
      .exec("SELECT tool_use_id FROM waiting WHERE answer IS NULL ORDER BY asked_at, rowid")
      .toArray()
      .map((row) => textOf(row, "tool_use_id"));
    const id = which === "oldest" ? open[0] : open.at(-1);
    if (id === undefined) return false;
    const given: ToolAnswer = answer === "allow" ? { type: "allow" } : { type: "deny", message: "no" };
    const event = { type: "user.tool_confirmation" as const, tool_use_id: id, result: answer };
    let taken = false;
    this.#inTurn(
      (object) => void (taken = object.driver.answer(id, given, event)),
      () => {
        if (taken) this.answered.push({ id, answer });
      },
    );
    return true;
  }

  /** A client begins to read, which wakes the driver. */
  kick(): void {
    this.#inTurn((object) => object.driver.kick());
  }

  /** The object leaves memory: its links close, and its timers and promises are lost. */
  evict(): void {
    if (!this.#object) return;
    this.#object.dead = true;
    for (const wire of this.#object.wires) wire.send("down", CLOSED);
    this.#object = null;
  }

  replaceRunner(tell = true): void {
    if (this.runners.length > 0) {
      this.runner.die(tell);
      this.deaths.push(Date.now());
    }
    this.runners.push(new SimulatedRunner(`rnr_${this.runners.length + 1}`, () => this.#newEventId()));
  }

  drainRunner(): void {
    const runner = this.runner;
    runner.drain();
    setTimeout(() => {
      if (runner === this.runner) this.replaceRunner();
    }, DRAIN_MS);
  }

  cut(tell: { session: boolean; runner: boolean }): void {
    for (const { wire } of this.wires) wire.cut(tell);
  }

  /** The runner, or an attacker who took it over, sends this on the newest link. */
  say(report: object): void {
    this.wires.at(-1)?.wire.up.push(JSON.stringify(report));
  }

  /** Damages a link: its next two messages are swapped, or the next one comes twice. */
  spoil(how: "swap" | "repeat"): void {
    for (const { wire } of this.wires) {
      const [first, second] = wire.up;
      if (typeof first !== "string" || first.includes('"welcome"')) continue;
      if (how === "repeat") wire.up.unshift(first);
      else if (typeof second === "string") wire.up.splice(0, 2, second, first);
    }
  }

  /** Answers the oldest dial. */
  async answerDial(): Promise<void> {
    const dial = this.#dials.shift();
    if (!dial || dial.object.dead) return;
    if (!this.hasPlace) dial.reject(new NoCapacity("no machine is free"));
    else if (!this.reachable) dial.reject(new Error("connection refused"));
    else dial.resolve(this.#connect(dial));
    await settled();
  }

  /** Delivers up to `count` messages, oldest wire first. Returns how many there were. */
  async deliver(direction: "up" | "down", count: number): Promise<number> {
    let delivered = 0;
    for (const { wire, hear, runner } of this.wires) {
      while (delivered < count) {
        const message = wire[direction].shift();
        if (message === undefined) break;
        delivered += 1;
        if (direction === "up") hear(message);
        else if (runner === this.runner) runner.hear(wire, message);
        await settled();
      }
    }
    return delivered;
  }

  /** Advances time. The alarm fires when it is due and brings an evicted object back. */
  async wait(ms: number): Promise<void> {
    const until = Date.now() + ms;
    while (this.#alarmAt !== null && this.#alarmAt <= until) {
      await vi.advanceTimersByTimeAsync(Math.max(0, this.#alarmAt - Date.now()));
      const due = this.#alarmAt;
      if (due === null || due > Date.now()) continue;
      this.#alarmAt = null;
      const outcome = this.#inTurn((object) => object.driver.watch());
      // The runtime retries an alarm that dies or fails.
      if (outcome === "lost") this.#alarmAt = Date.now();
      if (outcome === "failed") this.#alarmAt ??= Date.now() + 2_000;
      await settled();
    }
    await vi.advanceTimersByTimeAsync(Math.max(0, until - Date.now()));
  }

  /**
   * Repairs everything and continues until every run has ended and nothing is in flight, or for a few minutes. A run that
   * must stop gets time to learn of it. Returns whether all runs ended.
   */
  async settle(): Promise<boolean> {
    this.reachable = true;
    this.nextTurn = null;
    this.diskFullAfter = null;
    let heard = true;
    for (let round = 0; round < 300; round++) {
      for (let moved = 1; moved > 0;) {
        moved = (await this.deliver("down", 100)) + (await this.deliver("up", 100));
        while (this.#dials.length > 0) {
          await this.answerDial();
          moved += 1;
        }
      }
      if (this.runs().every((run) => run.state === "ended") && this.#alarmAt === null) {
        await this.wait(LINGER_MS);
        return heard;
      }
      this.answer("oldest", round % 2 === 0 ? "allow" : "deny");
      const [toStop] = this.#database.sql
        .exec("SELECT id FROM runs WHERE state = 'running' AND interrupt_at IS NOT NULL")
        .toArray();
      const unheard = this.runner.busy !== null && toStop?.["id"] === this.runner.busy && !this.runner.stopping;
      if (!unheard || round > 30) this.runner.work("end");
      if (round > 30) heard &&= !unheard;
      await this.wait(1_000);
    }
    return heard;
  }

  get dialling(): number {
    return this.#dials.length;
  }

  /** Whether nothing holds the object in memory or will wake it. */
  get atRest(): boolean {
    return this.#alarmAt === null && this.#dials.length === 0 && (this.#object?.wires.size ?? 0) === 0;
  }

  #newEventId(): string {
    return `e${++this.#events}`;
  }

  /** Runs a turn of the object. Returns whether its writes were kept; `confirm` is called if so. */
  #inTurn(work: (object: LiveObject) => void, confirm: () => void = () => {}): "kept" | "lost" | "failed" {
    const object = (this.#object ??= this.#wake());
    const crash = this.nextTurn;
    this.nextTurn = null;
    const alarmAt = this.#alarmAt;
    const turn = (this.#turn = { outgoing: [] as (() => void)[] });
    let failed = false;
    try {
      this.#database.transaction(() => {
        try {
          work(object);
        } catch (error) {
          if (!(error instanceof DiskFull)) throw error;
          failed = true;
        }
        if (crash === "before") throw new Crashed();
      });
    } catch (error) {
      if (!(error instanceof Crashed)) throw error;
      this.#alarmAt = alarmAt;
      this.evict();
      return "lost";
    } finally {
      this.#turn = null;
    }
    if (crash === "after") {
      this.evict();
      return "kept";
    }
    for (const send of turn.outgoing) send();
    if (failed) return "failed";
    confirm();
    return "kept";
  }

  #wake(): LiveObject {
    const database = this.#database;
    // Timers of a dead object must not reach the disk.
    const alive = {
      exec: (...args: Parameters<typeof database.sql.exec>) =>
        object.dead ? { toArray: () => [] } : database.sql.exec(...args),
    };
    const { sql: guarded, transaction } = remembered(alive, database.transaction);
    const log = new EventLog(guarded);
    const queue = new RunQueue(guarded);
    const approvals = new Approvals(guarded);
    const threads = new Threads(guarded);
    const alone = (): Promise<never> => Promise.reject(new Error("there is no other session in this world"));
    const peers = new Peers({
      sql: guarded,
      sessionId: "sesn_1",
      log,
      queue,
      approvals,
      threads,
      transaction,
      actions: { begin: alone, result: alone, read: alone, cancel: alone },
      now: () => Date.now(),
      newEventId: () => this.#newEventId(),
      report: () => {},
    });
    const driver = new Driver({
      log,
      queue,
      lease: new Lease(guarded),
      approvals,
      threads,
      peers,
      onEnded: () => {},
      triage: {
        sql: guarded,
        steps: this.triage,
        owner: () => ({ account: "default", sessionId: "sesn_world" }),
      },
      transaction: (work) => {
        this.#transactions += 1;
        const full = this.diskFullAfter === 0;
        if (this.diskFullAfter !== null) this.diskFullAfter = full ? null : this.diskFullAfter - 1;
        try {
          return transaction(() => {
            const result = work();
            if (full) throw new DiskFull();
            return result;
          });
        } finally {
          this.#transactions -= 1;
        }
      },
      dial: (hello, handlers) => this.#dial(object, hello, handlers),
      setAlarm: (at) => {
        if (!object.dead) this.#alarmAt = at;
      },
      now: () => Date.now(),
      newEventId: () => this.#newEventId(),
      newToken: () => `gst_${this.#newEventId()}`,
      engineSessionId: () => "5f0c6ad3-6cbb-4f0a-9d6e-3b7a52d0c1aa",
      mounts: () => [],
      models: () => ({ baseUrl: "http://router" }),
      idleMs: () => undefined,
      deadlineMs: 1_000_000,
      report: () => {},
    });
    const object: LiveObject = { driver, log, queue, wires: new Set(), dead: false };
    return object;
  }

  #dial(object: LiveObject, hello: PendingDial["hello"], handlers: LinkHandlers): Promise<Link> {
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        this.failedDials.push(Date.now());
        reject(error);
      };
      const dial: PendingDial = { object, hello, handlers, resolve, reject: failed };
      this.#dials.push(dial);
      setTimeout(() => {
        if (!this.#dials.includes(dial)) return;
        this.#dials = this.#dials.filter((other) => other !== dial);
        failed(new Error("timed out"));
      }, DIAL_TIMEOUT_MS);
    });
  }

  #connect({ object, hello, handlers }: PendingDial): Link {
    const wire = new Wire();
    const assembler = new MessageAssembler();
    let open = true;
    object.wires.add(wire);
    const closed = (reason: string, code?: number): void => {
      if (!open) return;
      open = false;
      object.wires.delete(wire);
      handlers.onClose(reason, code);
    };
    const hear = (message: WireMessage): void => {
      if (!open || object.dead) return;
      const outcome = this.#inTurn(() => {
        if (message === CLOSED) return closed("closed");
        if (message === UNREAD) return closed("bad message", CLOSE.badMessage);
        const value = assembler.push(message);
        if (value !== undefined) handlers.onReport(Report.parse(value));
      });
      // As `dial.ts` does when its handler throws.
      if (outcome === "failed" && open) {
        wire.send("down", CLOSED);
        this.#inTurn(() => closed("bad message"));
      }
    };
    this.wires.push({ wire, hear, runner: this.runner });
    for (const message of toMessages({ type: "hello", protocol: 1, ...hello })) wire.send("down", message);
    return {
      send: (command) => {
        if (command.type === "ack") this.#checkAcknowledged(command.frame);
        const send = (): void => toMessages(command).forEach((message) => wire.send("down", message));
        if (this.#turn) this.#turn.outgoing.push(send);
        else send();
      },
      close: () => {
        open = false;
        object.wires.delete(wire);
        const send = (): void => wire.send("down", CLOSED);
        if (this.#turn) this.#turn.outgoing.push(send);
        else send();
      },
    };
  }

  /** A runner drops acknowledged frames, so they must be stored by then. */
  #checkAcknowledged(frame: number): void {
    const stored = new Lease(this.#database.sql).cursor()?.frame ?? 0;
    if (this.#transactions > 0 || frame > stored) throw new Error(`frame ${frame} acknowledged, ${stored} stored`);
  }
}

class Crashed extends Error {}
class DiskFull extends Error {}

/** Runs promises that are ready. */
function settled(): Promise<unknown> {
  return vi.advanceTimersByTimeAsync(0);
}
