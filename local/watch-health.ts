import { setTimeout as sleep } from "node:timers/promises";

/** What to check, and how to repair it. Times in milliseconds. */
export interface Watch {
  /** Address of `GET /health`. */
  readonly url: string;
  /** Pause between checks, and how long an answer may take. */
  readonly everyMs: number;
  readonly answerMs: number;
  /** How many checks in a row must fail before a restart. */
  readonly failures: number;
  /** Shortest time between two restarts. It doubles, up to `mostMs`, while restarts do not help. */
  readonly pauseMs: number;
  readonly mostMs: number;
  /** False if a restart cannot help now, as on a full disk. */
  readonly canHelp: () => boolean;
  readonly restart: () => void;
  readonly say: (entry: { readonly event: string } & Readonly<Record<string, unknown>>) => void;
}

/**
 * Restarts the server after it has been unhealthy for a while. It counts failed checks and not time, because a launcher that
 * was frozen has made no checks. Returns a function that ends the watch.
 */
export function watchHealth(watch: Watch): () => void {
  const over = new AbortController();
  void look(watch, over.signal);
  return () => over.abort();
}

async function look(watch: Watch, over: AbortSignal): Promise<void> {
  let failed = 0;
  let pauseMs = watch.pauseMs;
  let restartedAt = -Infinity;
  for (;;) {
    await sleep(watch.everyMs, undefined, { signal: over, ref: false }).catch(() => {});
    if (over.aborted) return;
    const why = await whyUnwell(watch);
    if (over.aborted) return;
    if (why === null) {
      if (failed > 0) watch.say({ event: "well_again", after: failed });
      failed = 0;
      // It stayed healthy, so the last restart helped.
      if (performance.now() - restartedAt > pauseMs) pauseMs = watch.pauseMs;
      continue;
    }
    failed += 1;
    if (failed === 1) watch.say({ event: "not_well", why });
    const waited = performance.now() - restartedAt >= pauseMs;
    if (failed < watch.failures || !waited || !watch.canHelp()) continue;
    if (restartedAt !== -Infinity) pauseMs = Math.min(pauseMs * 2, watch.mostMs);
    watch.say({ event: "restarted_for_health", why, looks: failed, notAgainForMs: pauseMs });
    restartedAt = performance.now();
    failed = 0;
    watch.restart();
  }
}

/** Why the server is unhealthy; null if it is healthy. Any answer but 503 counts as healthy: a refused host name is one. */
async function whyUnwell({ url, answerMs }: Watch): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(answerMs) });
    const text = await response.text();
    if (response.status !== 503) return null;
    return (JSON.parse(text) as { unavailable?: string[] }).unavailable?.join(", ") ?? "503";
  } catch (error) {
    return error instanceof Error && error.name === "TimeoutError" ? "no answer" : "not reached";
  }
}
