/** A key as the guard needs it. */
export interface KnownKey {
  readonly id: string;
  readonly account: string;
  readonly scopes: readonly string[];
  /** SHA-256 of the whole key, in hexadecimal. */
  readonly hash: string;
  /** Milliseconds since 1970; null: never. */
  readonly expiresAt: number | null;
}

/** How long an isolate believes what it read. A revoked key is refused everywhere after this time at the latest. */
export const FRESH_MS = 30_000;

/** Keys an isolate keeps; ids that nobody made are kept too, so that guessing does not reach the database each time. */
const MAX_KEYS = 5_000;

/**
 * Keys as they were read last, so that the database is off the way of a prompt. Each request that finds none reads for
 * itself: it must not wait for what another one reads, which may be gone before that is answered.
 */
export class KeyCache {
  readonly #entries = new Map<string, { at: number; key: KnownKey | null }>();
  readonly #now: () => number;
  readonly #max: number;
  /** Rises when a key is forgotten: what was read before that is not kept. */
  #forgotten = 0;

  constructor(now: () => number = Date.now, max: number = MAX_KEYS) {
    this.#now = now;
    this.#max = max;
  }

  /** The key, by `read` when it is not known or no longer believed. What `read` throws is not kept. */
  async get(id: string, read: () => Promise<KnownKey | null>): Promise<KnownKey | null> {
    const entry = this.#entries.get(id);
    const at = this.#now();
    if (entry && at - entry.at < FRESH_MS) return entry.key;
    const forgotten = this.#forgotten;
    const key = await read();
    if (forgotten === this.#forgotten && at >= (this.#entries.get(id)?.at ?? 0)) this.#keep(id, { at, key });
    return key;
  }

  /** Forgets a key: it was revoked here. */
  forget(id: string): void {
    this.#forgotten += 1;
    this.#entries.delete(id);
  }

  #keep(id: string, entry: { at: number; key: KnownKey | null }): void {
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    // Insertion order is the order of age.
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break;
      this.#entries.delete(oldest);
    }
  }
}
