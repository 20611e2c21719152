/** The driver's alarm. One that is set already and comes soon enough is not set again: each time is a write. */
export class Armed {
  readonly #setAlarm: (at: number | null) => void;
  #at: number | null = null;

  constructor(setAlarm: (at: number | null) => void) {
    this.#setAlarm = setAlarm;
  }

  /** Has it come in `afterMs` at the latest. */
  arm(now: number, afterMs: number): void {
    if (this.#at !== null && this.#at > now) return;
    this.#at = now + afterMs;
    this.#setAlarm(this.#at);
  }

  /** It has come, and is gone. */
  fired(): void {
    this.#at = null;
  }

  /** It has come, and need not come again. */
  disarm(): void {
    this.#at = null;
    this.#setAlarm(null);
  }
}
