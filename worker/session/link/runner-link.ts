import { CLOSE } from "@gantry/protocol/link.ts";
import type { Command, Report } from "@gantry/protocol/link.ts";
import type { Link, LinkHandlers } from "./dial.ts";

/** First pause before dialling again. It doubles up to `MAX_REDIAL_MS`. */
const REDIAL_MS = 150;
const MAX_REDIAL_MS = 3_000;

/**
 * How long the link stays open after a run. Dialling again takes milliseconds, which a quick reply would feel; an open link
 * keeps the session's object in memory.
 */
export const LINGER_MS = 8_000;

/** A runner that is alive answers a ping within a millisecond. After this time without an answer it is dialled again. */
const PROOF_MS = 1_000;

/** A peer heard from this recently counts as alive, as in the middle of a run. */
const FRESH_MS = 1_000;

type Timer = ReturnType<typeof setTimeout>;

export interface RunnerLinkDeps {
  readonly dial: (hello: Hello, handlers: LinkHandlers) => Promise<Link>;
  /** Epoch and cursor of the next link. Each call raises the epoch. */
  readonly nextHello: () => Hello;
  readonly now: () => number;
  readonly report: (entry: Record<string, unknown>) => void;
}

interface Hello {
  readonly epoch: number;
  readonly cursor: { runnerId: string; frame: number } | null;
}

/** What the driver does when something happens on the link. */
export interface RunnerLinkEvents {
  /** A message of the runner, validated and in order. */
  readonly onReport: (report: Report) => void;
  /** A link was opened. The runner has not said yet who it is. */
  readonly onOpen: () => void;
  /** The runner closed the link over a message that it could not read. Returns true when that needs no other link. */
  readonly onUnread: () => boolean;
  /** A dial failed. Returns true when the run waits for a free machine, which may take as long as it takes. */
  readonly onDialFailed: (error: unknown) => boolean;
  /** The runner has shown that it is alive: the start of this run, which was held back, may be sent. */
  readonly onProved: (runId: string) => void;
  /** The start of this run was held back and never sent: another runner may get it. */
  readonly onTakenBack: (runId: string) => void;
  /** Whether a run is in progress that needs a runner. */
  readonly isWanted: () => boolean;
}

/**
 * The life of the link between a session and its runner: it is dialled, dialled again when it breaks, doubted when it has
 * been silent, and closed when nothing has needed it for a while. All of it is in memory and may be lost at any moment.
 *
 * The runner of an idle link may be gone without anybody having said so. What is sent there then is lost, so the start of a
 * run is held back until the runner has answered a ping.
 */
export class RunnerLink {
  readonly #deps: RunnerLinkDeps;
  readonly #on: RunnerLinkEvents;
  #link: Link | null = null;
  #isReady = false;
  #isDialling = false;
  #lastHeardAt = 0;
  #unreachableSince: number | null = null;
  #redialMs = REDIAL_MS;
  #closing: Timer | null = null;
  #doubt: Timer | null = null;
  #heldBack: string | null = null;

  constructor(deps: RunnerLinkDeps, on: RunnerLinkEvents) {
    this.#deps = deps;
    this.#on = on;
  }

  get isOpen(): boolean {
    return this.#link !== null;
  }

  /** Whether the runner has said who it is and has the session's files. Runs are sent only then. */
  get isReady(): boolean {
    return this.#link !== null && this.#isReady;
  }

  /** What the watchdog looks at. Times in milliseconds since 1970. */
  get health(): { linked: boolean; lastHeardAt: number; unreachableSince: number | null } {
    return { linked: this.isOpen, lastHeardAt: this.#lastHeardAt, unreachableSince: this.#unreachableSince };
  }

  /** Identifies the link that is open now, so that later work can tell whether it is still the same one. */
  get current(): unknown {
    return this.#link;
  }

  /** Sends a command; without a link it is dropped. */
  send(command: Command): void {
    this.#link?.send(command);
  }

  markReady(): void {
    this.#isReady = true;
  }

  /** A new run has its own minute: what could not be reached before says nothing about now. */
  forgetUnreachable(): void {
    this.#unreachableSince = null;
  }

  /** Closes the link. The next run begins with a new one: only a new link gives a runner what it lacks. */
  drop(why: string, redial = false): void {
    this.#link?.close(why);
    this.#link = null;
    if (redial) this.#redialSoon();
  }

  redial(why: string): void {
    this.drop(why);
    this.open();
  }

  /** Nothing runs: the link is closed when that lasts. */
  rest(): void {
    if (this.#closing) clearTimeout(this.#closing);
    this.#closing = setTimeout(() => this.#on.isWanted() || this.drop("idle"), LINGER_MS);
  }

  /**
   * Whether the link has been silent for so long that the runner must show that it is alive. It is pinged once; when no
   * answer comes, it is dialled again.
   */
  isDoubted(): boolean {
    const link = this.#link;
    const now = this.#deps.now();
    if (!link || now - this.#lastHeardAt <= FRESH_MS) return false;
    if (this.#doubt) return true;
    this.#doubt = setTimeout(() => this.#link === link && this.redial("silent"), PROOF_MS);
    link.send({ type: "ping", at: now });
    return true;
  }

  /** Keeps the start of a run back until the runner has answered. */
  holdBack(runId: string): void {
    this.#heldBack = runId;
  }

  /** Dials, unless that is under way. */
  open(): void {
    if (!this.#isDialling) void this.#dial();
  }

  async #dial(): Promise<void> {
    const { dial, nextHello, now, report } = this.#deps;
    const heldBack = this.#endDoubt();
    if (heldBack !== null) this.#on.onTakenBack(heldBack);
    this.#isDialling = true;
    let mine: Link | null = null;
    try {
      const link = await dial(nextHello(), {
        onReport: (message) => {
          if (mine && this.#link !== mine) return;
          this.#lastHeardAt = now();
          this.#on.onReport(message);
          const proved = this.#endDoubt();
          if (proved !== null) this.#on.onProved(proved);
        },
        onClose: (reason, code) => {
          if (this.#link !== mine) return;
          this.#link = null;
          report({ event: "link_closed", reason });
          if (code !== CLOSE.badMessage || !this.#on.onUnread()) this.#redialSoon();
        },
      });
      mine = link;
      this.#link = link;
      this.#isReady = false;
      this.#lastHeardAt = now();
      this.#unreachableSince = null;
      this.#redialMs = REDIAL_MS;
      this.#on.onOpen();
    } catch (error) {
      this.#unreachableSince = this.#on.onDialFailed(error) ? null : (this.#unreachableSince ?? now());
      report({ event: "dial_failed", error: String(error) });
      this.#redialSoon();
    } finally {
      this.#isDialling = false;
    }
  }

  /** Dials again before the watchdog would. The alarm stays set: a timer dies with the object. */
  #redialSoon(): void {
    if (!this.#on.isWanted()) return;
    const pause = this.#redialMs;
    this.#redialMs = Math.min(this.#redialMs * 2, MAX_REDIAL_MS);
    setTimeout(() => {
      if (!this.#link && this.#on.isWanted()) this.open();
    }, pause);
  }

  /** Ends the doubt about a silent runner. Returns the run whose start was held back. */
  #endDoubt(): string | null {
    if (this.#doubt) clearTimeout(this.#doubt);
    const heldBack = this.#heldBack;
    this.#doubt = null;
    this.#heldBack = null;
    return heldBack;
  }
}
