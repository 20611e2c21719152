/** Counts how often a scripted failure was played. This is the demonstration model's only memory, and it is bounded. */

/** Counters for the steps of scripts. */
export interface Attempts {
  /** Counts a call of the step and returns the number of calls so far, including this one. */
  next(promptMessage: string, stepNumber: number): number;
}

/** Keeps the `limit` most recently used counters; an older one starts again at 1. */
export function createAttempts(limit = 1000): Attempts {
  const counts = new Map<string, number>();
  return {
    next(promptMessage, stepNumber) {
      const key = `${stepNumber} ${promptMessage.length} ${fingerprint(promptMessage)}`;
      const count = (counts.get(key) ?? 0) + 1;
      // Deleted and set again, so that the map is in the order of use.
      counts.delete(key);
      counts.set(key, count);
      if (counts.size > limit) {
        const oldest = counts.keys().next();
        if (!oldest.done) counts.delete(oldest.value);
      }
      return count;
    },
  };
}

/** A 53-bit hash (cyrb53). Prompts may be megabytes long, and a collision only makes two tests share a counter. */
function fingerprint(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
