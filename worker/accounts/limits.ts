import { RequestRefused } from "@gantry/protocol/error.ts";

/**
 * What an account, and a session, may have open at the same time. One isolate holds the objects of many accounts, so what
 * one of them holds open is memory and processor time of all. Each isolate counts for itself.
 */

/** How much of one kind may be open. */
interface Limit {
  /** What is counted, for the message. */
  readonly what: string;
  readonly perAccount: number;
  readonly perSession?: number;
  /** Bytes of all requests of an account together. One request is always allowed. */
  readonly bytesPerAccount?: number;
  /** Seconds after which a refused client should try again. */
  readonly retryAfter: number;
  /** Milliseconds after which a slot is free again, even if its holder ended without giving it back. */
  readonly forMs: number;
}

/** The limits by kind. `docs/limits.md` lists them. */
export const LIMITS = {
  diff: { what: "diffs", perAccount: 1, retryAfter: 2, forMs: 60_000 },
  archive: { what: "archives", perAccount: 2, retryAfter: 5, forMs: 600_000 },
  modelCall: {
    what: "model calls",
    perAccount: 1_000,
    perSession: 100,
    bytesPerAccount: 256 * 1024 * 1024,
    retryAfter: 5,
    forMs: 1_800_000,
  },
} as const satisfies Record<string, Limit>;

/** Who takes a slot, and how large the request is in bytes. */
export interface Holder {
  readonly account: string;
  readonly sessionId?: string | null;
  readonly bytes?: number;
}

interface Slot extends Holder {
  readonly until: number;
}

/** A slot that is taken. Disposing of it a second time has no effect. */
export type Taken = Disposable;

/** Counts what is open. Holds values only: a request that was ended without a word loses its slot after `forMs`. */
export class OpenSlots {
  readonly #limit: Limit;
  readonly #now: () => number;
  readonly #slots = new Map<string, Set<Slot>>();

  constructor(limit: Limit, now: () => number = Date.now) {
    this.#limit = limit;
    this.#now = now;
  }

  /** Takes a slot. Throws `RequestRefused` (`too_many_at_once`) when the account or the session has none left. */
  take(holder: Holder): Taken {
    const { perAccount, perSession = Infinity, bytesPerAccount = Infinity, forMs } = this.#limit;
    const { account, sessionId = null, bytes = 0 } = holder;
    const now = this.#now();
    const open = this.#slots.get(account) ?? new Set<Slot>();
    // The oldest come first. Most calls look at one.
    for (const slot of open) {
      if (slot.until > now) break;
      open.delete(slot);
    }
    if (open.size >= perAccount) throw this.#refusal(perAccount, "account");
    // Counting costs a pass over the account's slots: only where the limit can be near.
    if (sessionId !== null && open.size >= perSession) {
      let ofSession = 0;
      for (const slot of open) if (slot.sessionId === sessionId) ofSession += 1;
      if (ofSession >= perSession) throw this.#refusal(perSession, "session");
    }
    if (bytes > 0 && open.size > 0 && bytesPerAccount !== Infinity) {
      let sum = bytes;
      for (const slot of open) sum += slot.bytes ?? 0;
      if (sum > bytesPerAccount) throw this.#refusal(open.size, "account");
    }
    const slot: Slot = { account, sessionId, bytes, until: now + forMs };
    open.add(slot);
    this.#slots.set(account, open);
    return {
      [Symbol.dispose]: () => {
        open.delete(slot);
        if (open.size === 0 && this.#slots.get(account) === open) this.#slots.delete(account);
      },
    };
  }

  #refusal(max: number, of: "account" | "session"): RequestRefused {
    const { what, retryAfter } = this.#limit;
    return new RequestRefused({ code: "too_many_at_once", what, max, of, retryAfter });
  }
}

const OPEN = {
  diff: new OpenSlots(LIMITS.diff),
  archive: new OpenSlots(LIMITS.archive),
  modelCall: new OpenSlots(LIMITS.modelCall),
};

/** Takes a slot of a kind in this isolate. Throws `RequestRefused` (`too_many_at_once`). */
export function take(kind: keyof typeof LIMITS, holder: Holder): Taken {
  return OPEN[kind].take(holder);
}

/** A stream that gives its slot back when it ends, fails, or is cancelled. */
export function holding(body: ReadableStream<Uint8Array>, slot: Taken): ReadableStream<Uint8Array> {
  const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          slot[Symbol.dispose]();
          controller.close();
        } catch (error) {
          slot[Symbol.dispose]();
          throw error;
        }
      },
      async cancel(reason) {
        slot[Symbol.dispose]();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
