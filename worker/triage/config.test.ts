import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseTriageConfig } from "./config.ts";

const problems = (text: string): string[] =>
  parseTriageConfig(text).problems.map(({ line, path, message }) => `${line} ${path}: ${message}`);

describe("the triage file", () => {
  it("does nothing as shipped", () => {
    const { config } = parseTriageConfig(readFileSync(join(import.meta.dirname, "../../triage.yaml"), "utf8"));
    expect(config).toEqual({ setup: [], rules: [], sources: [], classifier: undefined });
  });

  it("has defaults", () => {
    const { config } = parseTriageConfig(`
rules: [{ name: hi, when: { contains: hello }, answer: Hi! }]
sources: [{ name: now, sql: SELECT 1 }]
classifier: { model: demo/x, instructions: Be brief. }`);
    expect(config).toMatchObject({
      sources: [{ max_rows: 20, max_bytes: 8000, timeout_seconds: 2, parameters: {}, when: {} }],
      classifier: { timeout_seconds: 5, max_prompt_chars: 20_000 },
    });
  });

  it.each<[name: string, text: string, says: string]>([
    ["not YAML", "rules: [", "1 : "],
    ["an unknown key", "rule: []", "1 rule: unknown key"],
    ["an unknown key further in", "rules:\n  - name: a\n    answr: x\n    answer: y", "3 rules[0].answr: unknown key"],
    ["a rule without an action", "rules:\n  - name: a", "2 rules[0]: must say one of"],
    ["a rule with two actions", "rules:\n  - { name: a, answer: x, refuse: y }", "2 rules[0]: must say one of"],
    [
      "an invalid regular expression",
      "rules:\n  - name: a\n    when:\n      matches: '('\n    answer: x",
      "4 rules[0].when.matches: is not a regular expression",
    ],
    [
      "a duplicate name",
      "rules:\n  - { name: a, answer: x }\n  - { name: a, answer: y }",
      "3 rules[1].name: the name a is taken",
    ],
    ["a statement that writes", "sources:\n  - name: a\n    sql: DELETE FROM x", "3 sources[0].sql: must be a SELECT"],
    ["an unknown parameter", "sources:\n  - name: a\n    sql: SELECT :b", "3 sources[0].sql: has no parameter :b"],
    ["no model", "classifier:\n  instructions: x", "1 classifier.model"],
    [
      "a timeout that is too long",
      "classifier: { model: a, instructions: b, timeout_seconds: 600 }",
      "1 classifier.timeout_seconds",
    ],
  ])("with %s is refused with its line", (_name, text, says) => {
    expect(parseTriageConfig(text).config).toBeNull();
    expect(problems(text)).toEqual([expect.stringContaining(says)]);
  });
});
