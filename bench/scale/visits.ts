import { readFileSync } from "node:fs";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";

/**
 * One session's visit: when its first prompt comes, and then how long each run takes and how long the user thinks
 * before the next prompt. Relative times, so that a sandbox that is slow shifts what follows, as it does in life.
 */
export interface Visit {
  /** Milliseconds from the beginning. */
  readonly at: number;
  readonly prompts: readonly { readonly thinkMs: number; readonly runMs: number }[];
}

/** Assumed visits if there is no recording; every figure of the table depends on them. */
export const ASSUMED = {
  /** Prompts in a visit: geometric. */
  meanPrompts: 6,
  /** A run: log-normal, cut at the product's own limit. */
  runMedianMs: 45_000,
  runSigma: 1.1,
  runMaxMs: 30 * 60_000,
  /** Between the end of a run and the next prompt: log-normal with a long tail, so that some outlast any time-out. */
  thinkMedianMs: 90_000,
  thinkSigma: 1.3,
  thinkMaxMs: 4 * 3_600_000,
} as const;

/** Random numbers from a seed: the same visits every time. */
function randomFrom(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  return () => uniformFloat64(generator);
}

/** Visits that come independently of each other at a steady rate, for some hours. */
export function assumedVisits(perHour: number, hours: number, seed: number): Visit[] {
  const random = randomFrom(seed);
  const exponential = (mean: number): number => -mean * Math.log(1 - random());
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const logNormal = (median: number, sigma: number, max: number): number =>
    Math.min(max, median * Math.exp(sigma * normal()));
  const visits: Visit[] = [];
  for (let at = exponential(3_600_000 / perHour); at < hours * 3_600_000; at += exponential(3_600_000 / perHour)) {
    const prompts = [];
    do {
      prompts.push({
        thinkMs: prompts.length === 0 ? 0 : logNormal(ASSUMED.thinkMedianMs, ASSUMED.thinkSigma, ASSUMED.thinkMaxMs),
        runMs: logNormal(ASSUMED.runMedianMs, ASSUMED.runSigma, ASSUMED.runMaxMs),
      });
    } while (random() >= 1 / ASSUMED.meanPrompts);
    visits.push({ at, prompts });
  }
  return visits;
}

/**
 * Visits as `bench/scale/record.ts` wrote them: a line `session,created_at,started_at,ended_at` a run, times in
 * milliseconds, sorted by session and time. Throws on a line that is none, with its number.
 */
export function recordedVisits(path: string): Visit[] {
  const sessions = new Map<string, { created: number; started: number; ended: number }[]>();
  for (const [index, line] of readFileSync(path, "utf8").split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("session,")) continue;
    const [session = "", ...times] = line.split(",");
    const [created = NaN, started = NaN, ended = NaN] = times.map(Number);
    if (times.length !== 3 || [created, started, ended].some((time) => !Number.isFinite(time)))
      throw new Error(`${path}:${index + 1}: not "session,created_at,started_at,ended_at"`);
    const runs = sessions.get(session) ?? [];
    sessions.set(session, [...runs, { created, started, ended }]);
  }
  const begin = Math.min(...[...sessions.values()].map((runs) => runs[0]?.created ?? Infinity));
  return [...sessions.values()]
    .map((runs) => ({
      at: (runs[0]?.created ?? begin) - begin,
      prompts: runs.map((run, index) => ({
        thinkMs: index === 0 ? 0 : Math.max(0, run.created - (runs[index - 1]?.ended ?? run.created)),
        runMs: Math.max(0, run.ended - run.started),
      })),
    }))
    .sort((a, b) => a.at - b.at);
}
