/** The clock, network and randomness a router uses, and the real ones. Tests pass their own. */
/** Effects are arguments, so that a test can decide with its own clock and network. */
export interface Effects {
  readonly fetch: typeof fetch;
  /** Milliseconds since 1970. */
  now(): number;
  /** 0 <= n < 1. */
  random(): number;
  /** Rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** A fresh id: `newId("msg")` → `msg_...`. */
  newId(prefix: string): string;
}

/** The real effects of Node and workerd. */
export const effects: Effects = {
  // Called without `this`: workerd's fetch refuses any other.
  fetch: (input, init) => fetch(input, init),
  now: () => Date.now(),
  random: () => Math.random(),
  sleep,
  newId: (prefix) => `${prefix}_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`,
};

/** Abort reason for waits that are no longer needed. Aborting without a reason would build an error with its stack. */
export const OVER = "over";

/** Rejects with the signal's reason when the signal aborts first. Leaves no timer and no listener behind. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
