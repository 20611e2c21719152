import { setTimeout as sleep } from "node:timers/promises";

/** What is watched, and how it is mended. Times in milliseconds. */
export interface Watch {
  /** Address of `GET /health`. */
  readonly url: string;
  /** Pause between looks, and how long an answer may take. */
  readonly everyMs: number;
  readonly answerMs: number;
  /** So many looks in a row must fail. */
  readonly failures: number;
  /** Shortest time between two restarts; doubled, up to `mostMs`, for as long as they do not help. */
  readonly pauseMs: number;
  readonly mostMs: number;
  /** False: a restart would not help now, as on a full disk. */
  readonly canHelp: () => boolean;
  readonly restart: () => void;
  readonly say: (entry: { readonly event: string } & Readonly<Record<string, unknown>>) => void;
}

/**
 * Restarts what has not been well for a while. Looks that fail are counted rather than time: a launcher that was frozen
 * has not looked. Returns what ends it.
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
      // It stayed well: the last restart helped.
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

/** Null: it is well. An answer that is no 503 (a host name that is not allowed) is one of somebody who works. */
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
