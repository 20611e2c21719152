import { sleep } from "@gantry/router/base/effects.ts";

/**
 * Defers small side work of a request, such as log lines and counting, and processes it in batches. Done at once, this
 * work would take the processor before the client gets its answer.
 */
export class Later<T> {
  readonly #ms: number;
  readonly #work: (items: readonly T[]) => void | Promise<void>;
  #waiting: T[] = [];
  #since = 0;

  /**
   * @param ms delay of a batch in milliseconds.
   * @param work processes a batch. It must not fail: a batch is never retried.
   */
  constructor(ms: number, work: (items: readonly T[]) => void | Promise<void>) {
    this.#ms = ms;
    this.#work = work;
  }

  /** Queues an item for the next batch. `waitUntil` keeps the request alive until that batch is done. */
  add(item: T, waitUntil: (work: Promise<void>) => void): void {
    this.#waiting.push(item);
    const now = Date.now();
    // A batch is already scheduled, unless the request that was to process it was ended first.
    if (this.#waiting.length > 1 && now - this.#since < 2 * this.#ms) return;
    this.#since = now;
    waitUntil(sleep(this.#ms).then(() => this.flush()));
  }

  /** Processes the waiting items now. Resolves when they are done. */
  async flush(): Promise<void> {
    const items = this.#waiting;
    this.#waiting = [];
    if (items.length > 0) await this.#work(items);
  }
}
