import { describe, expect, it } from "vitest";
import { SandboxState, nextSandboxState } from "./sandbox.ts";
import type { SandboxChange } from "./sandbox.ts";

describe("the state of a sandbox", () => {
  it.each<[string, SandboxChange[], SandboxState[]]>([
    ["a first prompt", ["start", "run", "started", "rest"], ["starting", "busy", "busy", "idle"]],
    ["a spare that gets a prompt", ["start", "started", "run", "rest"], ["starting", "ready", "busy", "idle"]],
    ["a save after a run", ["start", "run", "save", "saved", "run"], ["starting", "busy", "saving", "idle", "busy"]],
    [
      "a prompt during a save",
      ["start", "run", "save", "run", "saved"],
      ["starting", "busy", "saving", "busy", "busy"],
    ],
    ["a long idle time", ["start", "run", "rest", "end", "start"], ["starting", "busy", "idle", "stopped", "starting"]],
    ["a runner that is lost", ["start", "run", "lose", "start"], ["starting", "busy", "lost", "starting"]],
    ["an abandoned start", ["start", "end"], ["starting", "stopped"]],
    [
      "changes without an engine",
      ["started", "run", "rest", "save", "saved", "lose"],
      Array(6).fill("stopped") as SandboxState[],
    ],
  ])("%s", (_name, changes, states) => {
    let state: SandboxState = "stopped";
    expect(changes.map((change) => (state = nextSandboxState(state, change)))).toEqual(states);
  });

  it.each(SandboxState.options)("%s leads to stopped, and stopped leads to every state", (state) => {
    expect(nextSandboxState(state, "end")).toBe("stopped");
    const reached = new Set<SandboxState>(["stopped"]);
    const changes: SandboxChange[] = ["start", "started", "run", "rest", "save", "saved", "end", "lose"];
    for (const from of reached) for (const change of changes) reached.add(nextSandboxState(from, change));
    expect([...reached].toSorted()).toEqual(SandboxState.options.toSorted());
  });
});
