import { describe, expect, test } from "vitest";
import { toSum } from "./arithmetic.ts";

describe("sums in a newcomer's words", () => {
  const table: [prompt: string, value: number | null][] = [
    ["What is 7 * 6?", 42],
    ["what's 7 x 6", 42],
    ["7*6", 42],
    ["7 × 6 =", 42],
    ["What is seven times six?", 42],
    ["How much is 2 plus 3 times 4?", 14],
    ["calculate (2 + 3) * 4", 20],
    ["please compute 10 divided by 4", 2.5],
    ["10 - 2 - 3", 5],
    ["100 / 10 / 5", 2],
    ["2 * -3", -6],
    ["-(2 + 3) * 2", -10],
    ["0.1 + 0.2", 0.3],
    [".5 + .25", 0.75],
    ["1,000,000 / 4", 250_000],
    ["what is 1 / 0?", null],
    ["2 * (3 + (4 - 1))", 12],
    ["What is 9 minus 4 please", 5],
  ];
  test.each(table)("%s → %s", (prompt, value) => {
    expect(toSum(prompt)?.value).toBe(value);
  });

  test.each([
    "",
    "42",
    "What is love?",
    "2024-01-02",
    "call 555-0100",
    "read 2 files + 1",
    "7 *",
    "* 7",
    "(7 * 6",
    "7 * 6)",
    "7 6",
    "1.2.3 + 4",
    "process.exit() + 1",
    "constructor + 1",
    `1${" + 1".repeat(100)}`,
  ])("no sum: %s", (prompt) => {
    expect(toSum(prompt)).toBeNull();
  });
});
