/**
 * Who may start an engine, and when. A start takes nearly a second of a core, so about one a core begins at a time; an
 * engine takes memory for as long as it lives, so there is a limit to how many there are.
 */

/** Why an engine is wanted. The order is that of precedence: somebody waits for a run, nobody yet for a spare. */
const REASONS = ["run", "warm", "pool"] as const;
export type StartReason = (typeof REASONS)[number];

/** A place among the living engines. */
export interface Pass {
  /** The engine has started, or failed to: the next one may begin. */
  started(): void;
  /** The engine is gone with all it had started. */
  gone(): void;
}

interface Ticket {
  readonly reason: StartReason;
  readonly signal: AbortSignal;
  readonly admit: (pass: Pass | null) => void;
}

export class Admission {
  readonly #startsAtOnce: number;
  readonly #maxEngines: number;
  readonly #makeRoom: (reason: StartReason) => void;
  #waiting: Ticket[] = [];
  #starting = 0;
  #engines = 0;

  /**
   * @param makeRoom called when all places are taken and somebody waits: may end an engine that can be spared, whose
   * pass will then say that it is gone. May be called again before that.
   */
  constructor(args: { startsAtOnce: number; maxEngines: number; makeRoom: (reason: StartReason) => void }) {
    this.#startsAtOnce = args.startsAtOnce;
    this.#maxEngines = args.maxEngines;
    this.#makeRoom = args.makeRoom;
  }

  /** Engines there are, the ones that start now included; of them those; and who waits. */
  get counts(): { engines: number; starting: number; waiting: number; max: number } {
    return {
      engines: this.#engines,
      starting: this.#starting,
      waiting: this.#waiting.length,
      max: this.#maxEngines,
    };
  }

  /** How many starts come before the one that waits with this signal; null when none does. */
  positionOf(signal: AbortSignal): number | null {
    const at = this.#waiting.findIndex((ticket) => ticket.signal === signal);
    return at < 0 ? null : at;
  }

  /** Whether a start would begin at once, and nothing starts now. */
  get quiet(): boolean {
    return this.#waiting.length === 0 && this.#starting === 0 && this.#engines < this.#maxEngines;
  }

  /**
   * Waits for a place: first those with a run, each in the order of their coming.
   *
   * @param onWait called once when it cannot begin now, with the number of starts that come before.
   * @returns null when the signal was aborted first.
   */
  enter(reason: StartReason, signal: AbortSignal, onWait: (position: number) => void = () => {}): Promise<Pass | null> {
    if (signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const ticket: Ticket = { reason, signal, admit: resolve };
      const behind = this.#waiting.findIndex((other) => REASONS.indexOf(other.reason) > REASONS.indexOf(reason));
      const at = behind < 0 ? this.#waiting.length : behind;
      this.#waiting.splice(at, 0, ticket);
      signal.addEventListener(
        "abort",
        () => {
          if (!this.#waiting.includes(ticket)) return;
          this.#waiting = this.#waiting.filter((other) => other !== ticket);
          resolve(null);
        },
        { once: true },
      );
      this.pump();
      if (this.#waiting.includes(ticket)) onWait(at);
    });
  }

  /** Looks again who may begin: call when an engine has become idle, and so could be spared. */
  pump(): void {
    while (this.#waiting[0] && this.#starting < this.#startsAtOnce) {
      if (this.#engines >= this.#maxEngines) return this.#makeRoom(this.#waiting[0].reason);
      this.#waiting.shift()?.admit(this.#pass());
    }
  }

  #pass(): Pass {
    this.#starting += 1;
    this.#engines += 1;
    let starting = true;
    let living = true;
    const started = (): void => {
      if (!starting) return;
      starting = false;
      this.#starting -= 1;
      this.pump();
    };
    return {
      started,
      gone: () => {
        if (!living) return;
        living = false;
        this.#engines -= 1;
        started();
        this.pump();
      },
    };
  }
}
