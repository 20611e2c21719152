import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { RULES } from "./rules.ts";
import { Step } from "./step.ts";

const page = readFileSync(new URL("../../docs/demo-model.md", import.meta.url), "utf8");

test("docs/demo-model.md shows every rule, in order", () => {
  const rows = [...page.matchAll(/^\| ([a-z ]+) \| ([^|]+) \| [^|]+\|$/gm)]
    .map((row) => [row[1], row[2]])
    .filter(([name]) => name !== "rule");
  expect(rows).toEqual(RULES.map((rule) => [rule.name, rule.example]));
});

test("docs/demo-model.md explains every key of a step", () => {
  const firstCells = [...page.matchAll(/^\| (`[^|]+) \|/gm)].map((row) => row[1] ?? "");
  const keys = firstCells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1]));
  expect(new Set(keys)).toEqual(new Set(Object.keys(Step.shape)));
});
