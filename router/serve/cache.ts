/**
 * Answers to identical requests, kept in memory for a while. Off unless the configuration turns it on.
 *
 * Accounts never share an entry, because the account is part of the key. Only complete, successful answers are kept. Each
 * isolate has its own cache, so on Cloudflare another isolate may ask the provider again.
 */
import type { MessagesBody } from "../request/request.ts";

/** An answer exactly as the client received it. */
export interface CachedAnswer {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

interface Entry extends CachedAnswer {
  readonly until: number;
}

const MAX_ENTRY_BYTES = 1024 * 1024;
const MAX_TOTAL_BYTES = 32 * 1024 * 1024;

/** Keeps recent answers up to a total size; the least recently used one goes first. */
export class AnswerCache {
  /** Least recently used first. */
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

/** Collects a stream's bytes for the cache, up to the largest entry the cache accepts. */
export class AnswerRecorder {
  #pieces: Uint8Array[] | null = [];
  #length = 0;

  push(bytes: Uint8Array): void {
    if (this.#pieces === null) return;
    this.#length += bytes.length;
    if (this.#length > MAX_ENTRY_BYTES) this.#pieces = null;
    else this.#pieces.push(bytes.slice());
  }

  /** Everything that was pushed, or undefined when it was too large to keep. */
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
 * The cache key of a request. The order of object keys and `metadata` (who asks) do not matter. The account and the betas
 * do; betas change what a request means.
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
