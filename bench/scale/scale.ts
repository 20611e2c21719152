import type { Group, Table } from "../kit/report.ts";
import { INSTANCES, costOfThousand, capacityOf } from "./prices.ts";
import type { InstanceType, RunCounts } from "./prices.ts";
import { simulate } from "./simulate.ts";
import type { Outcome, Rules } from "./simulate.ts";
import { ASSUMED, assumedVisits, recordedVisits } from "./visits.ts";
import type { Visit } from "./visits.ts";

/**
 * Sandboxes at scale, on paper: a discrete-event simulation of admission, warm pool and idle time-outs.
 * `TRACE=file.csv` plays a recording instead (`node bench/scale/record.ts`).
 */

const MINUTE = 60_000;
/** Long enough that sessions and sandboxes have come to their balance. */
const WARM_UP_MS = 120 * MINUTE;
const COUNTED_MS = 60 * MINUTE;
const SEED = 20261121;

/** One run as it was counted on one machine; `docs/scale.md` says how. */
const A_RUN: RunCounts = {
  workerRequests: 12,
  workerCpuMs: 60,
  objectRequests: 40,
  rowsWritten: 340,
  rowsRead: 1_450,
  r2Writes: 3,
  r2Reads: 1,
  engineCpuSeconds: 6,
};

/** Cloudflare's container: start as cited, the rest as measured here. */
const CLOUD = { startMs: 3_000, adoptMs: 300, restoreMs: 1_000, liveMs: 60, stopMs: 2_000 } as const;

const base = (instance: InstanceType): Rules => ({
  ...CLOUD,
  capacity: capacityOf(instance).sandboxes,
  startsAtOnce: Infinity,
  pool: 0,
  sleepAfterMs: 10 * MINUTE,
  stopIdleWhenFull: true,
});

interface Case {
  readonly name: string;
  /** Sessions that begin in an hour; a session is open for about 24 minutes. */
  readonly perHour: number;
  readonly instance: InstanceType;
  readonly rules: Partial<Rules>;
}

function cases(): Case[] {
  const [basic, standard] = INSTANCES;
  if (!basic || !standard) throw new Error("no instance types");
  return [
    { name: "10 sessions", perHour: 25, instance: standard, rules: {} },
    { name: "1,000 sessions", perHour: 2_400, instance: standard, rules: {} },
    { name: "1,000, asleep after 2 min", perHour: 2_400, instance: standard, rules: { sleepAfterMs: 2 * MINUTE } },
    { name: "1,000, asleep after 20 min", perHour: 2_400, instance: standard, rules: { sleepAfterMs: 20 * MINUTE } },
    { name: "1,000, pool of 20", perHour: 2_400, instance: standard, rules: { pool: 20 } },
    { name: "10,000 sessions", perHour: 24_000, instance: standard, rules: {} },
    { name: "10,000, `basic`", perHour: 24_000, instance: basic, rules: {} },
    {
      name: "10,000, `basic`, idle ones keep their place",
      perHour: 24_000,
      instance: basic,
      rules: { stopIdleWhenFull: false },
    },
    { name: "100,000 sessions", perHour: 240_000, instance: standard, rules: {} },
    { name: "100,000, `basic`", perHour: 240_000, instance: basic, rules: {} },
    { name: "100,000, `basic`, no limit", perHour: 240_000, instance: basic, rules: { capacity: Infinity } },
  ];
}

function at(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

const seconds = (ms: number): string =>
  ms < 60_000 ? `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s` : `${(ms / MINUTE).toFixed(0)} min`;
const percent = (part: number, whole: number): string => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;

function row(name: string, instance: InstanceType, outcome: Outcome): string[] {
  const { prompts } = outcome;
  const cost = costOfThousand(A_RUN, instance, {
    sandboxSeconds: outcome.sandboxSeconds / prompts,
    busySeconds: outcome.busySeconds / prompts,
  });
  return [
    name,
    String(prompts),
    String(outcome.peakSessions),
    String(outcome.peakBusy),
    String(outcome.peakSandboxes),
    percent(outcome.live, prompts),
    outcome.neverBegan > 0 && outcome.neverBegan > prompts / 100
      ? "the queue only grows"
      : percent(outcome.waitedForPlace, prompts),
    `${seconds(at(outcome.firstMs, 0.5))} / ${seconds(at(outcome.firstMs, 0.95))} / ${seconds(at(outcome.firstMs, 0.99))}`,
    `${cost.container.toFixed(2)} + ${(cost.objects + cost.worker + cost.r2).toFixed(2)}`,
  ];
}

function play(visits: readonly Visit[], rules: Rules): Outcome {
  return simulate(visits, rules, WARM_UP_MS, WARM_UP_MS + COUNTED_MS);
}

function run(say: (line: string) => void): Table {
  const trace = process.env["TRACE"];
  const rows = cases()
    .filter((each, index) => trace === undefined || index === 0 || each.perHour === 2_400)
    .map((each) => {
      const hours = (WARM_UP_MS + COUNTED_MS) / (60 * MINUTE);
      const visits = trace === undefined ? assumedVisits(each.perHour, hours, SEED) : recordedVisits(trace);
      const outcome =
        trace === undefined
          ? play(visits, { ...base(each.instance), ...each.rules })
          : simulate(visits, { ...base(each.instance), ...each.rules }, 0, 48 * 60 * MINUTE);
      say(`${each.name}: ${outcome.prompts} prompts`);
      return row(each.name, each.instance, outcome);
    });
  return {
    columns: [
      "sessions at once",
      "prompts in an hour",
      "sessions at most",
      "runs at most",
      "sandboxes at most",
      "found alive",
      "waited for a place",
      "first event: half / 95 % / 99 % within",
      "$ for 1,000 runs: container + rest",
    ],
    rows,
    notes: [
      `Visits come at a steady rate for three hours, of which the last is counted. Assumed: ${ASSUMED.meanPrompts} prompts a visit (geometric), a run of ${ASSUMED.runMedianMs / 1000} s in the middle (log-normal, σ ${ASSUMED.runSigma}, at most ${ASSUMED.runMaxMs / MINUTE} min), ${ASSUMED.thinkMedianMs / 1000} s between a run's end and the next prompt (log-normal, σ ${ASSUMED.thinkSigma}); seed ${SEED}. \`TRACE=file.csv\` plays a recording of your own instead.`,
      `Rules: asleep after 10 min, no pool, the longest idle sandbox is stopped when all places are taken; start ${CLOUD.startMs / 1000} s (cited: 1 to 3 s), restore ${CLOUD.restoreMs / 1000} s, live ${CLOUD.liveMs} ms, stop ${CLOUD.stopMs / 1000} s. \`standard-1\` unless named. Places of an account: ${INSTANCES.map((instance) => `\`${instance.name}\` ${capacityOf(instance).sandboxes} (its ${capacityOf(instance).limit})`).join(", ")}.`,
      "The model's own cost is not in it: it is the larger part of every bill. Allowances of the paid plan are not taken off.",
    ],
  };
}

export const scale: Group = {
  name: "scale",
  page: "docs/scale.md",
  run: (say) => Promise.resolve(run(say)),
};
