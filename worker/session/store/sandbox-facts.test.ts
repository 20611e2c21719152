import type { SandboxReport } from "@gantry/protocol/sandbox.ts";
import { describe, expect, it } from "vitest";
import { sandboxFacts } from "./sandbox-facts.ts";

const report = (fields: Partial<SandboxReport>): SandboxReport => ({
  runnerId: "rnr_1",
  state: "idle",
  since: 5,
  position: null,
  sleepsAt: null,
  ...fields,
});

describe("the state of a sandbox", () => {
  it.each([
    ["no runner, no run", null, null, { state: "stopped", since: null }],
    ["no runner, a run that was sent to one", null, "rnr_1", { state: "lost", since: null }],
    [
      "a runner that does not know the session",
      report({ state: "stopped", since: 0 }),
      null,
      { state: "stopped", since: null },
    ],
    ["another runner than the run was sent to", report({ state: "ready" }), "rnr_2", { state: "lost", since: null }],
    ["a run in progress", report({ state: "busy" }), "rnr_1", { state: "busy", since: 5 }],
    ["a place in the queue", report({ state: "starting", position: 3 }), "rnr_1", { state: "starting", position: 3 }],
    ["a rest", report({ sleepsAt: 99 }), null, { state: "idle", sleepsAt: 99 }],
  ] as const)("%s", (_name, said, sentTo, facts) => {
    expect(sandboxFacts(said, sentTo, false)).toMatchObject(facts);
  });

  it.each([
    ["idle", "saving"],
    ["busy", "busy"],
    ["starting", "starting"],
    ["stopped", "stopped"],
  ] as const)("what it changed is still to be stored, and it is %s", (state, told) => {
    expect(sandboxFacts(report({ state, sleepsAt: 99 }), null, true)).toMatchObject({ state: told, sleepsAt: 99 });
  });
});
