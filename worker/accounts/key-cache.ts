/** The fields of a key that the guard checks. */
export interface KnownKey {
  readonly id: string;
  readonly account: string;
  readonly scopes: readonly string[];
  /** SHA-256 of the whole key, in hexadecimal. */
  readonly hash: string;
  /** Milliseconds since 1970; null when the key never expires. */
  readonly expiresAt: number | null;
}

/** Lifetime of a cache entry in milliseconds. A revoked key is refused everywhere after this time at the latest. */
export const FRESH_MS = 30_000;

/** Largest number of cached ids per isolate. Unknown ids are cached too, so that guesses do not reach the database each time. */
const MAX_KEYS = 5_000;

/**
 * Caches keys, so that a prompt does not wait for the database. Each request that misses reads for itself: it must not
 * wait for another request's read, because that request may end before its read is answered.
 */
export class KeyCache {
  readonly #entries = new Map<string, { at: number; key: KnownKey | null }>();
  readonly #now: () => number;
  readonly #max: number;
  /** Increases when a key is forgotten. A read that began before that is not cached. */
  #forgotten = 0;

  constructor(now: () => number = Date.now, max: number = MAX_KEYS) {
    this.#now = now;
    this.#max = max;
  }

  /** The key, read with `read` when the cache has no fresh entry. Errors of `read` pass through and are not cached. */
  async get(id: string, read: () => Promise<KnownKey | null>): Promise<KnownKey | null> {
    const entry = this.#entries.get(id);
    const at = this.#now();
    if (entry && at - entry.at < FRESH_MS) return entry.key;
    const forgotten = this.#forgotten;
    const key = await read();
    if (forgotten === this.#forgotten && at >= (this.#entries.get(id)?.at ?? 0)) this.#keep(id, { at, key });
    return key;
  }

  /** Drops a key that this isolate has revoked. */
  forget(id: string): void {
    this.#forgotten += 1;
    this.#entries.delete(id);
  }

  #keep(id: string, entry: { at: number; key: KnownKey | null }): void {
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    // A Map iterates in insertion order, so the oldest entries come first.
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break;
      this.#entries.delete(oldest);
    }
  }
}
