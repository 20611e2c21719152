import TinyQueue from "tinyqueue";
import Queue from "yocto-queue";
import type { Visit } from "./visits.ts";

/** What is simulated: the life of sandboxes as `docs/sandboxes.md` describes it, without what runs in them. */
export interface Rules {
  /** Sandboxes that may exist at once. */
  readonly capacity: number;
  /** Starts in progress at once; more wait their turn. */
  readonly startsAtOnce: number;
  /** Started sandboxes that belong to no session yet. */
  readonly pool: number;
  /** A sandbox without a run is stopped after this. */
  readonly sleepAfterMs: number;
  /** When full: stop the sandbox that was idle for longest, rather than let the prompt wait. */
  readonly stopIdleWhenFull: boolean;
  /** Start of a machine with its runner and engine. */
  readonly startMs: number;
  /** A started one takes over a session. */
  readonly adoptMs: number;
  /** Files and conversation of a session that had a sandbox before. */
  readonly restoreMs: number;
  /** First event of a prompt in a live sandbox. */
  readonly liveMs: number;
  /** Saves and ends; the sandbox counts against the limit until then. */
  readonly stopMs: number;
}

export interface Outcome {
  readonly prompts: number;
  /** Prompts that found their sandbox alive, took one from the pool, or waited for a start. */
  readonly live: number;
  readonly pooled: number;
  readonly started: number;
  /** Prompt → first event, milliseconds, sorted. */
  readonly firstMs: Float64Array;
  /** Prompts that waited because the limit of sandboxes was reached. */
  readonly waitedForPlace: number;
  /** Prompts that still waited for a sandbox at the end. */
  readonly neverBegan: number;
  readonly peakSandboxes: number;
  readonly peakBusy: number;
  /** Sessions between their first prompt and the end of their last run. */
  readonly peakSessions: number;
  /** All sandboxes' lives together, pooled ones too. */
  readonly sandboxSeconds: number;
  readonly busySeconds: number;
}

type Stage = "none" | "starting" | "live" | "busy" | "stopping";

interface Session {
  readonly visit: Visit;
  next: number;
  stage: Stage;
  had: boolean;
  promptAt: number;
  /** Rises with every change, so that a timer set before is known to be stale. */
  turn: number;
  /** Where the sandbox of the prompt in hand came from, and whether it had to wait for the limit first. */
  source: "live" | "pooled" | "started";
  waited: boolean;
}

/** A number that changes at moments: its highest value and its area, from a moment on. */
class Gauge {
  value = 0;
  peak = 0;
  area = 0;
  #since = 0;
  readonly #clock: () => number;
  readonly #from: number;

  constructor(clock: () => number, from: number) {
    this.#clock = clock;
    this.#from = from;
  }

  change(by: number): void {
    this.settle();
    this.value += by;
    if (this.#clock() >= this.#from) this.peak = Math.max(this.peak, this.value);
  }

  settle(): void {
    const now = this.#clock();
    this.area += this.value * Math.max(0, now - Math.max(this.#since, this.#from));
    this.#since = now;
  }
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/** Plays visits against rules. Prompts before `warmUpMs` shape the state and are not counted. */
export function simulate(visits: readonly Visit[], rules: Rules, warmUpMs: number, untilMs: number): Outcome {
  const timers = new TinyQueue<Timer>([], (a, b) => a.at - b.at);
  let now = 0;
  const after = (ms: number, run: () => void): void => {
    timers.push({ at: now + ms, run });
  };

  const taken = new Gauge(() => now, warmUpMs);
  const busy = new Gauge(() => now, warmUpMs);
  const open = new Gauge(() => now, warmUpMs);
  let starting = 0;
  let pooled = 0;
  let pooledComing = 0;
  const startQueue = new Queue<() => void>();
  const waiting = new Queue<Session>();
  // Oldest first: a Set keeps the order of insertion.
  const idle = new Set<Session>();

  const firstMs: number[] = [];
  const count = { prompts: 0, live: 0, pooled: 0, started: 0, waitedForPlace: 0 };

  const release = (): void => {
    taken.change(-1);
    const next = waiting.dequeue();
    if (next) begin(next);
    else fillPool();
  };

  const startMachine = (done: () => void): void => {
    const run = (): void => {
      starting += 1;
      after(rules.startMs, () => {
        starting -= 1;
        startQueue.dequeue()?.();
        done();
      });
    };
    if (starting < rules.startsAtOnce) run();
    else startQueue.enqueue(run);
  };

  const fillPool = (): void => {
    // Prompts that wait for a start come first: filling the pool must not delay them.
    while (pooled + pooledComing < rules.pool && taken.value < rules.capacity && startQueue.size === 0) {
      pooledComing += 1;
      taken.change(1);
      startMachine(() => {
        pooledComing -= 1;
        pooled += 1;
      });
    }
  };

  const stop = (session: Session): void => {
    idle.delete(session);
    session.turn += 1;
    session.stage = "stopping";
    after(rules.stopMs, () => {
      const again = session.promptAt >= 0;
      session.stage = "none";
      release();
      if (again) begin(session);
    });
  };

  const prompt = (session: Session): void => {
    session.promptAt = now;
    session.waited = false;
    if (session.next === 0) open.change(1);
    if (session.stage === "live") {
      idle.delete(session);
      session.turn += 1;
      session.source = "live";
      return work(session, rules.liveMs);
    }
    // One that is being stopped begins anew when that is done.
    if (session.stage === "none") begin(session);
  };

  const begin = (session: Session): void => {
    const back = session.had ? rules.restoreMs : 0;
    if (pooled > 0) {
      pooled -= 1;
      session.source = "pooled";
      session.stage = "starting";
      after(rules.adoptMs + back, () => work(session, rules.liveMs));
      return fillPool();
    }
    if (taken.value >= rules.capacity) {
      session.waited = true;
      waiting.enqueue(session);
      const oldest = rules.stopIdleWhenFull ? idle.values().next().value : undefined;
      if (oldest) stop(oldest);
      return;
    }
    taken.change(1);
    session.stage = "starting";
    session.source = "started";
    startMachine(() => {
      after(back, () => work(session, rules.liveMs));
    });
  };

  const work = (session: Session, untilFirstMs: number): void => {
    session.stage = "busy";
    session.had = true;
    busy.change(1);
    if (now >= warmUpMs) {
      count.prompts += 1;
      count[session.source] += 1;
      if (session.waited) count.waitedForPlace += 1;
      firstMs.push(now - session.promptAt + untilFirstMs);
    }
    session.promptAt = -1;
    const step = session.visit.prompts[session.next];
    session.next += 1;
    after((step?.runMs ?? 0) + untilFirstMs, () => {
      busy.change(-1);
      session.stage = "live";
      idle.add(session);
      const following = session.visit.prompts[session.next];
      if (following) after(following.thinkMs, () => prompt(session));
      else open.change(-1);
      const turn = ++session.turn;
      after(rules.sleepAfterMs, () => {
        if (session.turn === turn && session.stage === "live") stop(session);
      });
      // A prompt waits at the limit, and this sandbox can be stopped.
      if (waiting.size > 0 && rules.stopIdleWhenFull && taken.value >= rules.capacity) stop(session);
    });
  };

  for (const visit of visits) {
    const session: Session = {
      source: "started",
      visit,
      next: 0,
      stage: "none",
      had: false,
      promptAt: -1,
      turn: 0,
      waited: false,
    };
    timers.push({ at: visit.at, run: () => prompt(session) });
  }
  fillPool();
  for (let timer = timers.pop(); timer && timer.at <= untilMs; timer = timers.pop()) {
    now = timer.at;
    timer.run();
  }
  now = untilMs;
  for (const gauge of [taken, busy, open]) gauge.settle();
  return {
    ...count,
    firstMs: Float64Array.from(firstMs).sort(),
    neverBegan: waiting.size,
    peakSandboxes: taken.peak,
    peakBusy: busy.peak,
    peakSessions: open.peak,
    sandboxSeconds: taken.area / 1000,
    busySeconds: busy.area / 1000,
  };
}
