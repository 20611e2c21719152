import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@gantry/protocol/ids.ts";
import { describe, expect, it } from "vitest";
import { nextChange, sweepSpares } from "./pool.ts";

describe("the next change of the pool when", () => {
  it.each([
    ["nothing is known", {}, [], 1, null, null],
    ["there is no spare yet", { a: 1 }, [], 1, "a", null],
    ["the spare exists", { a: 1 }, ["a"], 1, null, null],
    ["another profile is requested once", { a: 0.8, b: 1 }, ["a"], 1, null, null],
    ["another profile is requested again", { a: 0.64, b: 1.8 }, ["a"], 1, "b", "a"],
    ["two spares, one profile", { a: 1 }, ["a"], 2, "a", null],
    ["two spares, two profiles", { a: 1, b: 0.9 }, ["a"], 2, "b", null],
    ["two spares, one profile in much higher demand", { a: 3, b: 1 }, ["a"], 2, "a", null],
    ["both spares have a profile without demand", { a: 0.1, b: 3 }, ["a", "a"], 2, "b", "a"],
    ["no spares are wanted", { a: 1 }, [], 0, null, null],
    ["there is one too many", { a: 1 }, ["a", "a"], 1, null, null],
  ] as const)("%s", (_name, scores, have, size, start, end) => {
    expect(nextChange(new Map(Object.entries(scores)), have, size)).toEqual({ start, end });
  });
});

describe("sweeping the pool of a killed runner", () => {
  it("removes its spares and leaves sessions alone", () => {
    const root = mkdtempSync(join(tmpdir(), "gantry-pool-"));
    sweepSpares(root);
    const [spare, session] = [newId("session"), newId("session")];
    for (const id of [spare, session]) mkdirSync(join(root, id, "workspace"), { recursive: true });
    mkdirSync(join(root, ".pool"));
    writeFileSync(join(root, ".pool", spare), "");
    writeFileSync(join(root, ".pool", "odd"), "");
    sweepSpares(root);
    expect([spare, session, ".pool/odd", `.pool/${spare}`].map((name) => existsSync(join(root, name)))).toEqual([
      false,
      true,
      false,
      false,
    ]);
    rmSync(root, { recursive: true });
  });
});
