import { Refused } from "./refused.ts";

/** Work is done in turns of this length: other sessions share the process. */
const TURN_MS = 8;

/** Lets others work every few milliseconds. */
export class Turns {
  readonly #signal: AbortSignal;
  #since = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether it is time to `pause`: asked often, because waiting for nothing costs more than asking. */
  get isOver(): boolean {
    return performance.now() - this.#since >= TURN_MS;
  }

  async pause(): Promise<void> {
    if (!this.isOver) return;
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#signal.aborted) throw new Refused("busy", "Somebody waits for this folder.");
    this.#since = performance.now();
  }
}
