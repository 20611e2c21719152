/** A clock that a test moves. Time passes only when everything that can happen now has happened. */

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

export class VirtualClock {
  #now = Date.parse("2026-11-21T12:00:00Z");
  #timers: Timer[] = [];

  readonly now = (): number => this.#now;

  readonly sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const timer: Timer = { at: this.#now + ms, fire: resolve };
      this.#timers.push(timer);
      signal?.addEventListener("abort", () => {
        this.#timers = this.#timers.filter((each) => each !== timer);
        reject(signal.reason as Error);
      });
    });

  /** Number of pending timers; 0 when nothing is left behind. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves time forward by `ms` and fires timers in order. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const next = this.#next();
      if (next === undefined || next.at > end) break;
      this.#fire(next);
    }
    this.#now = end;
    await settle();
  }

  /** Moves time from timer to timer until `work` is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    const state = { done: false };
    const watched = work.finally(() => (state.done = true));
    watched.catch(() => undefined);
    for (let idle = 0; idle < 100;) {
      await settle();
      if (state.done) return watched;
      const next = this.#next();
      if (next === undefined) {
        // Another thread computes hashes, and may not have finished yet.
        idle++;
        await new Promise((resolve) => setTimeout(resolve, 1));
      } else {
        idle = 0;
        this.#fire(next);
      }
    }
    throw new Error("Nothing is left to wait for, and the work is not done.");
  }

  #next(): Timer | undefined {
    return this.#timers.toSorted((a, b) => a.at - b.at)[0];
  }

  #fire(timer: Timer): void {
    this.#timers = this.#timers.filter((each) => each !== timer);
    this.#now = Math.max(this.#now, timer.at);
    timer.fire();
  }
}

/** Lets everything that is ready run: promises, and streams, which take several of them for a step. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}
