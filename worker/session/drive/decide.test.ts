import { describe, expect, it } from "vitest";
import { SILENCE_LIMIT_MS, UNREACHABLE_LIMIT_MS, onFrame, onWatchdog, onWelcome } from "./decide.ts";
import type { Run } from "../store/run-queue.ts";

const run = (sentTo: string | null): Run => ({
  id: "run_1",
  state: "running",
  options: { model: "m", permissionMode: "default", maxTurns: 1 },
  promptSeq: 1,
  sentTo,
  interruptRequested: false,
  wasParked: false,
});

describe("after a welcome", () => {
  it.each<[string, sentTo: string | null | undefined, active: string | null, ended: string[], wanted: string]>([
    ["no run in progress", undefined, null, [], "none"],
    ["none here, although the runner has one", undefined, "run_0", [], "none"],
    ["the runner has it", "rnr_1", "run_1", [], "attached"],
    ["the runner has ended it", "rnr_1", null, ["run_0", "run_1"], "attached"],
    ["another runner says that it has it", "rnr_0", "run_1", [], "attached"],
    ["it was sent to nobody", null, null, [], "send"],
    ["it was sent to nobody, and the runner has an older one", null, "run_0", [], "send"],
    ["it was sent to this runner and did not arrive", "rnr_1", null, ["run_0"], "send"],
    ["it was sent to a runner that is gone", "rnr_0", null, [], "lost"],
    ["it was sent to a runner that is gone, and this one is busy", "rnr_0", "run_0", [], "lost"],
  ])("%s", (_name, sentTo, activeRunId, endedRunIds, wanted) => {
    const welcome = { type: "welcome" as const, protocol: 1, runnerId: "rnr_1", activeRunId, endedRunIds };
    expect(onWelcome(sentTo === undefined ? null : run(sentTo), welcome)).toBe(wanted);
  });
});

describe("about a frame", () => {
  it.each<[stored: number, frame: number, wanted: string]>([
    [0, 1, "store"],
    [0, 2, "gap"],
    [4, 1, "repeat"],
    [4, 4, "repeat"],
    [4, 5, "store"],
    [4, 6, "gap"],
    [4, 99, "gap"],
  ])("after %i comes %i", (stored, frame, wanted) => {
    expect(onFrame(stored, frame)).toBe(wanted);
  });
});

describe("what the watchdog does", () => {
  const now = 1_000_000;
  it.each<[string, linked: boolean, heardMsAgo: number, unreachableForMs: number | null, wanted: string]>([
    ["a link that was heard of just now", true, 0, null, "ping"],
    ["a link at the limit of silence", true, SILENCE_LIMIT_MS, null, "ping"],
    ["a link that is silent for too long", true, SILENCE_LIMIT_MS + 1, null, "redial"],
    ["no link", false, 0, null, "dial"],
    ["no link for a while", false, 0, UNREACHABLE_LIMIT_MS, "dial"],
    ["no link for too long", false, 0, UNREACHABLE_LIMIT_MS + 1, "give_up"],
    ["a link again, after a long time without", true, 0, UNREACHABLE_LIMIT_MS + 1, "ping"],
  ])("%s", (_name, linked, heardMsAgo, unreachableForMs, wanted) => {
    expect(
      onWatchdog({
        now,
        linked,
        lastHeardAt: now - heardMsAgo,
        unreachableSince: unreachableForMs === null ? null : now - unreachableForMs,
      }),
    ).toBe(wanted);
  });
});
