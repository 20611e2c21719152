import { describe, expect, test } from "vitest";
import type { Strategy } from "../config/schema.ts";
import type { RouteEntry } from "../routes/route-entry.ts";
import { deploymentOf } from "../testing/call-upstream.ts";
import { type DeploymentView, DeploymentStates } from "./deployment-state.ts";
import { type Candidate, hasFresh, pick } from "./strategies.ts";

const NOW = 1_000_000;
const PARAMS = { extraHeaders: {}, extraBody: {}, defaults: {}, dropParams: [] };

function candidate(
  id: string,
  view: Partial<DeploymentView> = {},
  entry: Partial<RouteEntry> = {},
  use = {},
): Candidate {
  return {
    deployment: deploymentOf({ id }),
    entry: { id, name: "m", model: "x", params: PARAMS, order: Infinity, ...entry },
    view: { inFlight: 0, latencyMs: null, coolingUntil: 0, failuresThisMinute: 0, successesThisMinute: 0, ...view },
    use: { requests: 0, tokens: 0, inFlight: 0, endsAt: NOW + 30_000, ...use },
  };
}

/** Deterministic and even. */
function* spread(): Generator<number> {
  for (let n = 0; ; n++) yield ((n * 61) % 100) / 100;
}

function shares(candidates: Candidate[], strategy: Strategy, tried: string[] = []): Record<string, number> {
  const random = spread();
  const counts: Record<string, number> = {};
  for (let call = 0; call < 100; call++) {
    const choice = pick(candidates, strategy, new Set(tried), NOW, () => random.next().value as number);
    const id = choice.candidate?.deployment.id ?? "none";
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts;
}

describe("the deployments picked for a hundred calls", () => {
  test.each<
    [name: string, strategy: Strategy, candidates: Candidate[], expected: Record<string, number>, tried?: string[]]
  >([
    [
      "least-busy: the least busy one",
      "least-busy",
      [candidate("a", { inFlight: 2 }), candidate("b", { inFlight: 1 })],
      { b: 100 },
    ],
    [
      "least-busy: ties at random",
      "least-busy",
      [candidate("a"), candidate("b"), candidate("c", { inFlight: 1 })],
      { a: 50, b: 50 },
    ],
    [
      "least-busy: among healthy ones only",
      "least-busy",
      [candidate("a", { coolingUntil: NOW + 1 }), candidate("b", { inFlight: 9 })],
      { b: 100 },
    ],
    ["shuffle: equal shares", "simple-shuffle", [candidate("a"), candidate("b")], { a: 50, b: 50 }],
    [
      "shuffle: by weight",
      "simple-shuffle",
      [candidate("a", {}, { weight: 9 }), candidate("b", {}, { weight: 1 })],
      { a: 90, b: 10 },
    ],
    [
      "shuffle: without a weight, when another has one, never",
      "simple-shuffle",
      [candidate("a", {}, { weight: 1 }), candidate("b")],
      { a: 100 },
    ],
    [
      "shuffle: by rpm",
      "simple-shuffle",
      [candidate("a", {}, { requestsPerMinute: 30 }), candidate("b", {}, { requestsPerMinute: 10 })],
      { a: 75, b: 25 },
    ],
    [
      "shuffle: all weights 0",
      "simple-shuffle",
      [candidate("a", {}, { weight: 0 }), candidate("b", {}, { weight: 0 })],
      { a: 50, b: 50 },
    ],
    [
      "latency: the fastest",
      "latency-based-routing",
      [candidate("a", { latencyMs: 900 }), candidate("b", { latencyMs: 300 })],
      { b: 100 },
    ],
    [
      "latency: nearly as fast counts as equal",
      "latency-based-routing",
      [candidate("a", { latencyMs: 310 }), candidate("b", { latencyMs: 300 })],
      { a: 50, b: 50 },
    ],
    [
      "latency: one without a measurement is tried",
      "latency-based-routing",
      [candidate("a", { latencyMs: 3 }), candidate("b")],
      { b: 100 },
    ],
    [
      "first healthy",
      "first-healthy",
      [candidate("a", { coolingUntil: NOW + 1 }), candidate("b"), candidate("c")],
      { b: 100 },
    ],
    [
      "lower order first",
      "least-busy",
      [candidate("a", {}, { order: 2 }), candidate("b", { inFlight: 9 }, { order: 1 }), candidate("c")],
      { b: 100 },
    ],
    [
      "next order when the first is cooling",
      "least-busy",
      [candidate("a", {}, { order: 2 }), candidate("b", { coolingUntil: NOW + 1 }, { order: 1 })],
      { a: 100 },
    ],
    [
      "next order when the first was tried",
      "least-busy",
      [candidate("a", {}, { order: 2 }), candidate("b", {}, { order: 1 })],
      { a: 100 },
      ["b"],
    ],
    [
      "all tried: the first order again",
      "least-busy",
      [candidate("a", {}, { order: 2 }), candidate("b", {}, { order: 1 })],
      { b: 100 },
      ["a", "b"],
    ],
    [
      "all cooling: the one that recovers first",
      "least-busy",
      [candidate("a", { coolingUntil: NOW + 9 }), candidate("b", { coolingUntil: NOW + 5 })],
      { b: 100 },
    ],
    [
      "rpm used up",
      "least-busy",
      [candidate("a", {}, { requestsPerMinute: 5 }, { requests: 5 }), candidate("b", { inFlight: 9 })],
      { b: 100 },
    ],
    [
      "tpm used up",
      "least-busy",
      [candidate("a", {}, { tokensPerMinute: 5 }, { tokens: 5 }), candidate("b")],
      { b: 100 },
    ],
    [
      "parallel calls used up",
      "least-busy",
      [candidate("a", {}, { maxParallel: 2 }, { inFlight: 2 }), candidate("b", { inFlight: 5 })],
      { b: 100 },
    ],
  ])("%s", (_, strategy, candidates, expected, tried) => {
    expect(shares(candidates, strategy, tried)).toEqual(expected);
  });
});

test.each<[entry: Partial<RouteEntry>, use: object, waitMs: number]>([
  [{ requestsPerMinute: 1 }, { requests: 1 }, 30_000],
  [{ maxParallel: 1 }, { inFlight: 1 }, 1_000],
])("all at their limit %j: the choice says how long to wait", (entry, use, waitMs) => {
  const all = [candidate("a", {}, entry, use)];
  expect(pick(all, "least-busy", new Set(), NOW, () => 0)).toEqual({ candidate: null, waitMs });
  expect(hasFresh(all, new Set())).toBe(false);
});

describe("remembered state", () => {
  test("a call counts once, and stops counting once, however often it ends", () => {
    const states = new DeploymentStates(() => NOW);
    const flights = Array.from({ length: 5 }, () => states.begin("a", "e"));
    expect(states.view("a", true).inFlight).toBe(5);
    for (const flight of flights) {
      flight.end();
      flight.end();
    }
    expect(states.view("a", true).inFlight).toBe(0);
    expect(states.use("e")).toMatchObject({ inFlight: 0, requests: 5 });
  });

  test("a call that vanished without an end stops counting in time; a live one does not", () => {
    let now = NOW;
    const states = new DeploymentStates(() => now);
    const lost = states.begin("a", "e");
    const long = states.begin("a", "e");
    for (let minute = 0; minute < 20; minute++) {
      now += 60_000;
      long.touch();
    }
    states.begin("b", "e").end();
    expect(states.view("a", true).inFlight).toBe(1);
    lost.end();
    long.end();
    expect(states.inFlight).toBe(0);
    expect(states.use("e").inFlight).toBe(0);
  });

  test("latency is a moving average, separate for streams and whole answers", () => {
    const states = new DeploymentStates(() => NOW);
    states.succeeded("a", 1_000, true);
    states.succeeded("a", 0, true);
    states.succeeded("a", 9_000, false);
    expect(states.view("a", true).latencyMs).toBeCloseTo(700);
    expect(states.view("a", false).latencyMs).toBe(9_000);
  });

  test("a minute's counts are forgotten with the minute", () => {
    let now = NOW;
    const states = new DeploymentStates(() => now);
    states.begin("a", "e");
    states.countTokens("e", 500);
    states.failed("a");
    now += 60_000;
    expect(states.use("e")).toMatchObject({ requests: 0, tokens: 0, inFlight: 1 });
    expect(states.view("a", true).failuresThisMinute).toBe(0);
  });

  test("names that callers invent do not fill the memory", () => {
    const states = new DeploymentStates(() => NOW);
    const held = states.begin("held", "e");
    for (let n = 0; n < 10_000; n++) states.begin(`made-up-${n}`, "e").end();
    expect(states.size).toBeLessThanOrEqual(2_000);
    expect(states.view("held", true).inFlight).toBe(1);
    held.end();
  });
});
