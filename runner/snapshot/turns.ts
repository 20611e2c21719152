import { Refused } from "./refused.ts";

/** Work is done in turns of this length, because other sessions share the process. */
const TURN_MS = 8;

/** Interrupts long synchronous work every few milliseconds, so that other work gets its turn. */
export class Turns {
  readonly #signal: AbortSignal;
  #since = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether it is time to `pause`. Callers check it often, because the check is much cheaper than a needless await. */
  get isOver(): boolean {
    return performance.now() - this.#since >= TURN_MS;
  }

  /** Lets other work run if the turn is over. Throws `Refused` when the signal asks for the work to give way. */
  async pause(): Promise<void> {
    if (!this.isOver) return;
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#signal.aborted) throw new Refused("busy", "A prompt is waiting for this folder.");
    this.#since = performance.now();
  }
}
