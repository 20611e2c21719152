import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@gantry/protocol/ids.ts";
import { describe, expect, it } from "vitest";
import { nextChange, sweepSpares } from "./pool.ts";

describe("which spares there are", () => {
  it.each([
    ["nothing is known", {}, [], 1, null, null],
    ["the first", { a: 1 }, [], 1, "a", null],
    ["it is there", { a: 1 }, ["a"], 1, null, null],
    ["another one is asked for once", { a: 0.8, b: 1 }, ["a"], 1, null, null],
    ["another one is asked for again", { a: 0.64, b: 1.8 }, ["a"], 1, "b", "a"],
    ["two places, one profile", { a: 1 }, ["a"], 2, "a", null],
    ["two places, two profiles", { a: 1, b: 0.9 }, ["a"], 2, "b", null],
    ["two places, one profile much more", { a: 3, b: 1 }, ["a"], 2, "a", null],
    ["both places have what nobody asks for", { a: 0.1, b: 3 }, ["a", "a"], 2, "b", "a"],
    ["no places", { a: 1 }, [], 0, null, null],
    ["one too many", { a: 1 }, ["a", "a"], 1, null, null],
  ] as const)("%s", (_name, scores, have, size, start, end) => {
    expect(nextChange(new Map(Object.entries(scores)), have, size)).toEqual({ start, end });
  });
});

describe("what a killed runner leaves of its pool", () => {
  it("is removed, and nothing of a session", () => {
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
