/** Where in the life of a prompt something may go wrong. */
export const POINTS = [
  "submit",
  "queued",
  "model",
  "streaming",
  "tool",
  "approval",
  "answer",
  "interrupt",
  "ended",
  "snapshot",
  "restore",
  "cancel",
  "fork",
] as const;
export type Point = (typeof POINTS)[number];

/** Resolves the waits for a point that was reached. */
export class Points {
  #waiting: { point: Point; nth: number; resolve: () => void }[] = [];
  #closed = false;

  reached(point: Point): void {
    for (const each of this.#waiting) if (each.point === point && --each.nth === 0) each.resolve();
    this.#waiting = this.#waiting.filter((each) => each.nth > 0);
  }

  /** Whether a fault waits for this point. */
  awaits(point: Point): boolean {
    return this.#waiting.some((each) => each.point === point);
  }

  /** Resolves all waits: no more points will be reached. */
  close(): void {
    this.#closed = true;
    for (const each of this.#waiting) each.resolve();
    this.#waiting = [];
  }

  /** Resolves when the point is reached for the nth time from now on, after `patienceMs`, or when all is over. */
  async next(point: Point, nth: number, patienceMs: number): Promise<void> {
    if (this.#closed) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ point, nth, resolve });
      timer = setTimeout(resolve, patienceMs);
    });
    clearTimeout(timer);
  }
}
