import type { Group, Table } from "../kit/report.ts";
import { INSTANCES, costOfThousand, slotsOf } from "./prices.ts";
import type { InstanceType, RunCounts } from "./prices.ts";
import { simulate } from "./simulate.ts";
import type { Outcome, Rules } from "./simulate.ts";
import { ASSUMED, assumedVisits, recordedVisits } from "./visits.ts";
import type { Visit } from "./visits.ts";

/**
 * Sandboxes at scale, on paper: a discrete-event simulation of admission, spare pool and idle time-outs.
 * `TRACE=file.csv` replays a recording instead (`npx node bench/scale/record.ts`).
 */

const MINUTE = 60_000;
/** Long enough for the numbers of sessions and sandboxes to become steady. */
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
  capacity: slotsOf(instance).slots,
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
      name: "10,000, `basic`, idle ones keep their slot",
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
      ? "the queue never empties"
      : percent(outcome.waitedForSlot, prompts),
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
      "case: sessions at once",
      "prompts per hour",
      "peak sessions",
      "peak runs",
      "peak sandboxes",
      "sandbox was alive",
      "waited for a slot",
      "first event within: 50 % / 95 % / 99 %",
      "$ per 1,000 runs: container + rest",
    ],
    rows,
    notes: [
      `Visits arrive at a steady rate for three hours; only the last hour is counted. Assumptions: ${ASSUMED.meanPrompts} prompts per visit (geometric), a median run of ${ASSUMED.runMedianMs / 1000} s (log-normal, σ ${ASSUMED.runSigma}, at most ${ASSUMED.runMaxMs / MINUTE} min), a median of ${ASSUMED.thinkMedianMs / 1000} s from the end of a run to the next prompt (log-normal, σ ${ASSUMED.thinkSigma}); random seed ${SEED}. \`TRACE=file.csv\` replays your own recording instead.`,
      `Rules: a sandbox sleeps after 10 min, there is no pool, and when all slots are taken the sandbox that has been idle longest is stopped. Start ${CLOUD.startMs / 1000} s (the platform says 1 to 3 s), restore ${CLOUD.restoreMs / 1000} s, prompt to a live sandbox ${CLOUD.liveMs} ms, stop ${CLOUD.stopMs / 1000} s. \`standard-1\` unless named. Slots per account: ${INSTANCES.map((instance) => `\`${instance.name}\` ${slotsOf(instance).slots} (limited by ${slotsOf(instance).limit})`).join(", ")}.`,
      "The cost of the model is not included; it is the larger part of every bill. The allowances of the paid plan are not deducted.",
    ],
  };
}

export const scale: Group = {
  name: "scale",
  page: "docs/scale.md",
  run: (say) => Promise.resolve(run(say)),
};
