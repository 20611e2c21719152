import { describe, expect, it } from "vitest";
import { SandboxState, nextSandboxState } from "./sandbox.ts";
import type { SandboxChange } from "./sandbox.ts";

describe("the state of a sandbox", () => {
  it.each<[string, SandboxChange[], SandboxState[]]>([
    ["a first prompt", ["start", "run", "started", "rest"], ["starting", "busy", "busy", "idle"]],
    ["a spare that is taken", ["start", "started", "run", "rest"], ["starting", "ready", "busy", "idle"]],
    ["a save after a run", ["start", "run", "save", "saved", "run"], ["starting", "busy", "saving", "idle", "busy"]],
    [
      "a prompt while it is saved",
      ["start", "run", "save", "run", "saved"],
      ["starting", "busy", "saving", "busy", "busy"],
    ],
    [
      "nothing to do for long",
      ["start", "run", "rest", "end", "start"],
      ["starting", "busy", "idle", "stopped", "starting"],
    ],
    ["a runner that is lost", ["start", "run", "lose", "start"], ["starting", "busy", "lost", "starting"]],
    ["a start that is given up", ["start", "end"], ["starting", "stopped"]],
    [
      "what comes too late",
      ["started", "run", "rest", "save", "saved", "lose"],
      Array(6).fill("stopped") as SandboxState[],
    ],
  ])("%s", (_name, changes, states) => {
    let state: SandboxState = "stopped";
    expect(changes.map((change) => (state = nextSandboxState(state, change)))).toEqual(states);
  });

  it.each(SandboxState.options)(
    "%s can be left for stopped, or is it, and from there everything is reached",
    (state) => {
      expect(nextSandboxState(state, "end")).toBe("stopped");
      const reached = new Set<SandboxState>(["stopped"]);
      const changes: SandboxChange[] = ["start", "started", "run", "rest", "save", "saved", "end", "lose"];
      for (const from of reached) for (const change of changes) reached.add(nextSandboxState(from, change));
      expect([...reached].toSorted()).toEqual(SandboxState.options.toSorted());
    },
  );
});
