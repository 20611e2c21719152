import { sleep } from "@gantry/router/base/effects.ts";

/**
 * Small things that an answer brings with it and that nobody waits for: they are done together, a little later. Done at
 * once they would have the processor before whoever reads the answer.
 */
export class Later<T> {
  readonly #ms: number;
  readonly #work: (items: readonly T[]) => void | Promise<void>;
  #waiting: T[] = [];
  #since = 0;

  /** @param work must not fail: what it was given is not given again. */
  constructor(ms: number, work: (items: readonly T[]) => void | Promise<void>) {
    this.#ms = ms;
    this.#work = work;
  }

  /** Has `item` done within milliseconds; `waitUntil` keeps the one alive who does it. */
  add(item: T, waitUntil: (work: Promise<void>) => void): void {
    this.#waiting.push(item);
    const now = Date.now();
    // Who was to do the others may have been ended before it came to that.
    if (this.#waiting.length > 1 && now - this.#since < 2 * this.#ms) return;
    this.#since = now;
    waitUntil(sleep(this.#ms).then(() => this.flush()));
  }

  /** Does what waits. Resolves when that is done. */
  async flush(): Promise<void> {
    const items = this.#waiting;
    this.#waiting = [];
    if (items.length > 0) await this.#work(items);
  }
}
