import { expect, test } from "vitest";
import { simulate } from "./simulate.ts";
import type { Rules } from "./simulate.ts";
import { assumedVisits } from "./visits.ts";
import type { Visit } from "./visits.ts";

const RULES: Rules = {
  capacity: 10,
  startsAtOnce: 10,
  pool: 0,
  sleepAfterMs: 10_000,
  stopIdleWhenFull: false,
  startMs: 3_000,
  adoptMs: 300,
  restoreMs: 1_000,
  liveMs: 50,
  stopMs: 2_000,
};
const visit = (at: number, ...thinkMs: number[]): Visit => ({
  at,
  prompts: thinkMs.map((each) => ({ thinkMs: each, runMs: 1_000 })),
});
const play = (visits: Visit[], rules: Partial<Rules> = {}) => simulate(visits, { ...RULES, ...rules }, 0, 3_600_000);

test.each<[string, Visit[], Partial<Rules>, number[]]>([
  ["a first prompt waits for a start", [visit(0, 0)], {}, [3_050]],
  ["the next one finds it alive", [visit(0, 0, 5_000)], {}, [50, 3_050]],
  ["after the time-out it starts again and restores", [visit(0, 0, 60_000)], {}, [3_050, 4_050]],
  ["a prompt while it is being stopped begins when that is done", [visit(0, 0, 11_000)], {}, [3_050, 1_000 + 4_050]],
  ["a pooled one is taken over", [visit(10_000, 0)], { pool: 1 }, [350]],
  [
    "one start at a time: the second waits for the first",
    [visit(0, 0), visit(0, 0)],
    { startsAtOnce: 1 },
    [3_050, 6_050],
  ],
  // Started at 3 s, at work until 4.05 s, asleep at 14.05 s, gone at 16.05 s; then 3 s of start.
  [
    "all slots taken: it waits for the other to fall asleep",
    [visit(0, 0), visit(0, 0)],
    { capacity: 1 },
    [3_050, 19_100],
  ],
  ["or the idle one gives way", [visit(0, 0), visit(0, 0)], { capacity: 1, stopIdleWhenFull: true }, [3_050, 9_100]],
])("%s", (_name, visits, rules, expected) => {
  expect([...play(visits, rules).firstMs]).toEqual(expected);
});

test("a sandbox is paid for from its start to its end", () => {
  const outcome = play([visit(0, 0)]);
  expect(outcome).toMatchObject({ prompts: 1, started: 1, live: 0, peakSandboxes: 1, peakBusy: 1, peakSessions: 1 });
  expect(outcome.sandboxSeconds).toBeCloseTo(3 + 1.05 + 10 + 2);
  expect(outcome.busySeconds).toBeCloseTo(1.05);
});

test("reports sessions that wait for a slot for ever", () => {
  const visits = Array.from({ length: 5 }, () => visit(0, 0));
  expect(simulate(visits, { ...RULES, capacity: 1 }, 0, 10_000).neverBegan).toBe(4);
});

test("the same seed gives the same visits", () => {
  expect(assumedVisits(100, 1, 7)).toEqual(assumedVisits(100, 1, 7));
  expect(assumedVisits(100, 1, 7)).not.toEqual(assumedVisits(100, 1, 8));
});
