/**
 * Decides which engine may start next. A start takes nearly a second of a core, so about one per core starts at a time. An
 * engine uses memory as long as it lives, so the number of engines is limited.
 */

/** Why an engine is started, in order of precedence: a user waits for a run, but no one waits for a spare. */
const REASONS = ["run", "warm", "pool"] as const;
export type StartReason = (typeof REASONS)[number];

/** Permission for one engine to start and to live. The holder reports its start and its end. */
export interface Pass {
  /** The engine has started or failed to start, so the next one may begin. */
  started(): void;
  /** The engine and everything it started is gone. */
  gone(): void;
}

interface Ticket {
  readonly reason: StartReason;
  readonly signal: AbortSignal;
  readonly admit: (pass: Pass | null) => void;
}

/** Admits engine starts of all sessions on this runner. */
export class Admission {
  readonly #startsAtOnce: number;
  readonly #maxEngines: number;
  readonly #makeRoom: (reason: StartReason) => void;
  #waiting: Ticket[] = [];
  #starting = 0;
  #engines = 0;

  /**
   * @param makeRoom called when a start waits and `maxEngines` engines are alive. It may stop an engine that can be given up;
   * that engine's pass then reports that it is gone. It may be called again before that.
   */
  constructor(args: { startsAtOnce: number; maxEngines: number; makeRoom: (reason: StartReason) => void }) {
    this.#startsAtOnce = args.startsAtOnce;
    this.#maxEngines = args.maxEngines;
    this.#makeRoom = args.makeRoom;
  }

  /** `engines` are alive, of which `starting` are still starting; `waiting` starts wait for admission. */
  get counts(): { engines: number; starting: number; waiting: number; max: number } {
    return {
      engines: this.#engines,
      starting: this.#starting,
      waiting: this.#waiting.length,
      max: this.#maxEngines,
    };
  }

  /** How many starts come before the one with this signal; null when it does not wait. */
  positionOf(signal: AbortSignal): number | null {
    const at = this.#waiting.findIndex((ticket) => ticket.signal === signal);
    return at < 0 ? null : at;
  }

  /** Whether a start would begin at once and nothing is starting now. */
  get quiet(): boolean {
    return this.#waiting.length === 0 && this.#starting === 0 && this.#engines < this.#maxEngines;
  }

  /**
   * Waits for admission: in order of precedence of the reasons, then first come, first served.
   *
   * @param onWait called once if the start cannot begin now, with the number of starts that come before it.
   * @returns null when the signal is aborted first.
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

  /** Admits whatever may start now. Call it when an engine has become idle, because it can then be given up. */
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
