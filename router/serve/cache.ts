/**
 * Answers to identical requests, kept in memory for a while. Off unless the configuration turns it on.
 *
 * Never across accounts: the account is part of the key. Only whole, successful answers are kept. One isolate's memory:
 * on Cloudflare another isolate may ask again.
 */
import type { MessagesBody } from "../request/request.ts";

/** An answer as the client got it. */
export interface CachedAnswer {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

interface Entry extends CachedAnswer {
  readonly until: number;
}

const MAX_ENTRY_BYTES = 1024 * 1024;
const MAX_TOTAL_BYTES = 32 * 1024 * 1024;

export class AnswerCache {
  /** Oldest use first. */
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;
  #bytes = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get(key: string): CachedAnswer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#remove(key, entry);
    if (entry.until <= this.#now()) return undefined;
    this.#add(key, entry);
    return entry;
  }

  put(key: string, answer: CachedAnswer, ttlMs: number): void {
    if (answer.bytes.length > MAX_ENTRY_BYTES) return;
    const old = this.#entries.get(key);
    if (old !== undefined) this.#remove(key, old);
    this.#add(key, { ...answer, until: this.#now() + ttlMs });
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= MAX_TOTAL_BYTES) break;
      this.#remove(oldest, entry);
    }
  }

  #add(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes.length;
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.bytes.length;
  }
}

/** Collects a stream's bytes for the cache, up to what the cache would take. */
export class AnswerRecorder {
  #pieces: Uint8Array[] | null = [];
  #length = 0;

  push(bytes: Uint8Array): void {
    if (this.#pieces === null) return;
    this.#length += bytes.length;
    if (this.#length > MAX_ENTRY_BYTES) this.#pieces = null;
    else this.#pieces.push(bytes.slice());
  }

  /** Everything that was pushed, or undefined when it was too much to keep. */
  take(): Uint8Array | undefined {
    if (this.#pieces === null) return undefined;
    const whole = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

/**
 * One key for one account's identical requests: the order of object keys does not matter, `metadata` (who asks) neither;
 * the betas do, since they change what a request means.
 */
export async function cacheKey(
  account: string,
  kind: string,
  body: MessagesBody,
  betas: string | null,
): Promise<string> {
  const { metadata: _, ...rest } = body;
  const text = canonical([account, kind, betas ?? "", { ...rest, stream: body.stream === true }]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical((value as Record<string, unknown>)[key])}`).join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
