import type { Link } from "./dial.ts";

/**
 * How long the link stays open after a run: dialling again costs milliseconds, which whoever answers at once would feel,
 * and an open link keeps the object in memory.
 */
export const LINGER_MS = 8_000;

/** A runner that lives answers in a millisecond; after this time it is dialled anew. */
const PROOF_MS = 1_000;

/** Whoever was heard so lately is taken for alive, as in the middle of a run. */
const FRESH_MS = 1_000;

type Timer = ReturnType<typeof setTimeout>;

/**
 * A link without a run. Its runner may be gone and nobody have said so: what is sent there then is lost, so a run is
 * held back until something was heard of it.
 */
export class RestingLink {
  #close: Timer | null = null;
  #doubt: Timer | null = null;
  #heldBack: string | null = null;

  /** Nothing runs; `close` is called when that lasts. */
  rest(close: () => void): void {
    if (this.#close) clearTimeout(this.#close);
    this.#close = setTimeout(close, LINGER_MS);
  }

  /**
   * Whether a link that was last heard then has to show that it lives; it is asked for a sign, once, and `giveUp` is
   * called when none comes.
   */
  doubts(link: Pick<Link, "send">, heardAt: number, now: number, giveUp: () => void): boolean {
    if (now - heardAt <= FRESH_MS) return false;
    if (this.#doubt) return true;
    this.#doubt = setTimeout(giveUp, PROOF_MS);
    link.send({ type: "ping", at: now });
    return true;
  }

  /** A run waits for that sign. */
  holdBack(runId: string): void {
    this.#heldBack = runId;
  }

  /** Something was heard, or another link is about to be opened. Returns the run that was held back. */
  end(): string | null {
    if (this.#doubt) clearTimeout(this.#doubt);
    const heldBack = this.#heldBack;
    this.#doubt = null;
    this.#heldBack = null;
    return heldBack;
  }
}
