/**
 * How long the link stays open after a run: dialling again costs milliseconds, which whoever answers at once would feel,
 * and an open link keeps the object in memory.
 */
export const LINGER_MS = 8_000;

/** A runner that lives answers in a millisecond; after this time it is dialled anew. */
const PROOF_MS = 1_000;

type Timer = ReturnType<typeof setTimeout>;

/**
 * A link without a run. Its runner may be gone and nobody have said so: what is sent there then is lost, so a run is
 * held back until something was heard of it.
 */
export class RestingLink {
  #close: Timer | null = null;
  #doubt: Timer | null = null;
  #isProven = true;
  #heldBack: string | null = null;

  /** Nothing runs; `close` is called when that lasts. */
  rest(close: () => void): void {
    if (this.#close) clearTimeout(this.#close);
    this.#close = setTimeout(close, LINGER_MS);
    this.#isProven = false;
  }

  /** Whether a run must wait for a sign of life; `ask` asks for one, `giveUp` is called when none comes. */
  holdsBack(runId: string, ask: () => void, giveUp: () => void): boolean {
    if (this.#isProven) return false;
    this.#heldBack = runId;
    this.#doubt ??= setTimeout(giveUp, PROOF_MS);
    ask();
    return true;
  }

  /** Something was heard, or another link is about to be opened. Returns the run that was held back. */
  end(): string | null {
    if (this.#doubt) clearTimeout(this.#doubt);
    const heldBack = this.#heldBack;
    this.#doubt = null;
    this.#heldBack = null;
    this.#isProven = true;
    return heldBack;
  }
}
