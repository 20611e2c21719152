import { closeSync, existsSync, openSync, readdirSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../kit/gantry.ts";
import type { Gantry } from "../kit/gantry.ts";
import { FAULTS_OF_A_MODEL } from "./model.ts";
import type { Model } from "./model.ts";
import { POINTS } from "./points.ts";
import type { Point, Points } from "./points.ts";
import type { Random } from "./random.ts";

/** Breaks the product, and mends it. */

const PARTS = ["workerd", "runner", "engine", "launcher"] as const;
type Part = (typeof PARTS)[number];

export type Fault =
  | { readonly kind: "kill"; readonly parts: readonly Part[] }
  | { readonly kind: "stop" }
  | { readonly kind: "freeze"; readonly part: Part; readonly ms: number }
  | { readonly kind: "disk"; readonly ms: number }
  | { readonly kind: "store"; readonly ms: number }
  | { readonly kind: "lose" }
  | { readonly kind: "model"; readonly fault: Model["fault"]; readonly ms: number };

export interface Planned {
  readonly point: Point;
  readonly nth: number;
  readonly delayMs: number;
  readonly fault: Fault;
}

export interface Possible {
  /** Bounds faults that last. */
  readonly longestMs: number;
  readonly canFillDisk: boolean;
  /** Only such faults, as `describeFault` begins; "" for all. */
  readonly kind: string;
}

/** Faults of one seed. */
export function plan(random: Random, possible: Possible): Planned[] {
  const one = (): Planned => {
    const point = random.pick(POINTS);
    return {
      point,
      nth: point === "restore" || point === "fork" ? 1 : random.int(1, 3),
      delayMs: random.chance(0.5) ? random.int(0, 20) : random.int(0, 400),
      fault: chooseFault(random, possible),
    };
  };
  const wanted = (): Planned => {
    for (;;) {
      const planned = one();
      if (describeFault(planned).startsWith(possible.kind)) return planned;
    }
  };
  const faults = Array.from({ length: random.int(1, 3) }, wanted);
  // Nothing is brought back that was not lost.
  if (faults.some(({ point }) => point === "restore"))
    faults.push({ point: random.pick(["ended", "tool", "snapshot"]), nth: 1, delayMs: 0, fault: { kind: "lose" } });
  return faults;
}

function chooseFault(random: Random, { longestMs, canFillDisk }: Possible): Fault {
  const ms = random.int(200, longestMs);
  const roll = random.int(1, 100);
  if (roll <= 50) {
    if (random.chance(0.15)) return { kind: "kill", parts: PARTS };
    return { kind: "kill", parts: [random.pick(PARTS)] };
  }
  if (roll <= 58) return { kind: "stop" };
  if (roll <= 72) return { kind: "freeze", part: random.pick(PARTS), ms };
  if (roll <= 79 && canFillDisk) return { kind: "disk", ms: Math.min(ms, 3_000) };
  if (roll <= 84) return { kind: "lose" };
  if (roll <= 89) return { kind: "store", ms: Math.min(ms, 5_000) };
  return { kind: "model", fault: random.pick(FAULTS_OF_A_MODEL), ms: Math.min(ms, 3_000) };
}

export function describeFault({ point, nth, fault }: Planned): string {
  const what =
    fault.kind === "kill"
      ? `kill ${fault.parts.join("+")}`
      : fault.kind === "freeze"
        ? `freeze ${fault.part} ${fault.ms} ms`
        : fault.kind === "model"
          ? `model ${fault.fault}`
          : fault.kind === "lose"
            ? "lose the sandboxes"
            : fault.kind;
  return `${what} at ${point}#${nth}`;
}

/** A time in which something was broken. */
export interface Span {
  readonly from: number;
  to: number;
}

export class Nemesis {
  readonly #gantry: Gantry;
  readonly #model: Model;
  /** A filler file on the small disk that the state is on; null where there is none. */
  readonly #filler: string | null;
  /** When the disk of the sandboxes was lost: what was not in a snapshot by then is gone. */
  readonly losses: number[] = [];
  /** Times in which the disk was full. */
  readonly fullDisks: Span[] = [];
  /** Times in which the Worker may have lost what it had not written. */
  readonly outages: Span[] = [];
  /** One at a time: what is being mended is not broken. */
  #busy: Promise<void> = Promise.resolve();

  /** Sessions whose folder was removed, for the watch that sees it come back. */
  readonly #lost: Set<string>;

  constructor(gantry: Gantry, model: Model, filler: string | null, lost: Set<string>) {
    this.#lost = lost;
    this.#gantry = gantry;
    this.#model = model;
    this.#filler = filler;
  }

  async strike(planned: Planned, points: Points): Promise<void> {
    // What is brought back is so with the next prompt, and one is sent when none comes by itself.
    await points.next(planned.point, planned.nth, planned.point === "restore" ? 60_000 : 5_000);
    await sleep(planned.delayMs);
    this.#busy = this.#busy.then(() => this.#apply(planned.fault));
    await this.#busy;
  }

  async #apply(fault: Fault): Promise<void> {
    const outage = { from: Date.now(), to: Infinity };
    this.outages.push(outage);
    switch (fault.kind) {
      case "kill":
        await this.#kill(fault.parts);
        if (fault.parts.includes("launcher")) await this.#restart();
        break;
      case "stop":
        await this.#gantry.stop();
        await this.#gantry.start(this.#gantry.port);
        break;
      case "freeze":
        await this.#freeze(fault.part, fault.ms);
        break;
      case "disk":
        this.fullDisks.push(outage);
        await this.#fillDisk(fault.ms);
        break;
      case "lose":
        this.#gantry.kill("runner", "engine");
        this.losses.push(Date.now());
        this.#loseSandboxes();
        break;
      case "store":
        await this.#hideStore(fault.ms);
        break;
      case "model":
        this.#model.fault = fault.fault;
        await sleep(fault.ms);
        this.#model.fault = null;
        break;
      default:
        fault satisfies never;
    }
    outage.to = Date.now();
  }

  /** Returns when their parents have heard of it: a prompt that a dead engine is given meanwhile fails, and says so. */
  async #kill(parts: readonly Part[]): Promise<void> {
    const running = this.#gantry.processes();
    const pids = parts.flatMap((part) => running[part]);
    this.#gantry.kill(...parts);
    await until(() => !pids.some((pid) => existsSync(`/proc/${pid}`)), "what was killed to be gone");
  }

  /** What a killed launcher leaves must end by itself; then it is started again, as by hand. */
  async #restart(): Promise<void> {
    const gone = (): boolean => {
      const { workerd, runner, launcher } = this.#gantry.processes();
      return workerd.length + runner.length + launcher.length === 0;
    };
    await until(gone, "the Worker and the runner to follow a killed launcher");
    await this.#gantry.start(this.#gantry.port);
  }

  async #freeze(part: Part, ms: number): Promise<void> {
    const pids = this.#gantry.processes()[part];
    for (const pid of pids) signal(pid, "SIGSTOP");
    await sleep(ms);
    for (const pid of pids) signal(pid, "SIGCONT");
  }

  async #fillDisk(ms: number): Promise<void> {
    if (!this.#filler) return;
    const file = openSync(this.#filler, "w");
    const block = Buffer.alloc(1 << 20);
    try {
      for (;;) writeSync(file, block);
    } catch {
      // Full.
    }
    closeSync(file);
    await sleep(ms);
    rmSync(this.#filler);
  }

  /** As when a machine is replaced: nothing of the sandboxes is left, the sessions are elsewhere. */
  #loseSandboxes(): void {
    const sandboxes = join(this.#gantry.state, "sandboxes");
    for (const name of readdirSync(sandboxes)) {
      rmSync(join(sandboxes, name), { recursive: true, force: true, maxRetries: 10 });
      this.#lost.add(name);
    }
  }

  /** The folder of blobs is not there for a while, and none can be made: what was confirmed is not taken away with it. */
  async #hideStore(ms: number): Promise<void> {
    const store = join(this.#gantry.state, "storage", "r2");
    if (!existsSync(store)) return;
    renameSync(store, `${store}-hidden`);
    writeFileSync(store, "");
    await sleep(ms);
    rmSync(store);
    renameSync(`${store}-hidden`, store);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone.
  }
}
