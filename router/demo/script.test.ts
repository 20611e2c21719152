import { describe, expect, test } from "vitest";
import { scriptedStep, withoutScripts } from "./script.ts";
import { scripted } from "./testing/calls.ts";

describe("the step that plays", () => {
  const script = scripted(
    { text: "one" },
    { text: "two", tool: "Bash", input: { command: "ls" }, stopReason: "max_tokens" },
  );
  test.each([
    ["no script", "hello", 0, null],
    ["the first call", script, 0, { step: { text: "one" } }],
    [
      "the second call",
      script,
      1,
      { step: { text: "two", tool: "Bash", input: { command: "ls" }, stopReason: "max_tokens" } },
    ],
    ["past the end: the last text alone", script, 2, { step: { text: "two" } }],
    ["past the end of a step without text", scripted({ tool: "Bash" }), 5, { step: { text: "done" } }],
    [
      "the last of several scripts",
      `${scripted({ text: "old" })} ${scripted({ text: "new" })}`,
      0,
      { step: { text: "new" } },
    ],
  ])("%s", (_name, prompt, replies, expected) => {
    expect(scriptedStep(prompt, replies)).toEqual(expected);
  });

  test("a subagent's script travels inside the main one", () => {
    const inner = scripted({ text: "inner" });
    const outer = scripted({ tool: "Agent", input: { prompt: inner } }, { text: "outer" });
    expect(scriptedStep(outer, 0)).toEqual({ step: { tool: "Agent", input: { prompt: inner } } });
    expect(scriptedStep(inner, 0)).toEqual({ step: { text: "inner" } });
  });
});

describe("an invalid script gets an error that says why", () => {
  test.each<[string, string, RegExp]>([
    ["a misspelt key", scripted({ text: "a" }, { txt: "b" }), /^Script step 2: unknown key "txt"\.$/],
    [
      "a misspelt key inside",
      scripted({ fail: { status: 500, time: 1 } }),
      /^Script step 1: unknown key "time" in "fail"\.$/,
    ],
    ["a wrong type", scripted({ text: 7 }), /^Script step 1: "text": .*string/],
    ["a status that is not an error", scripted({ fail: { status: 200 } }), /"fail\.status"/],
    ["a wait without an end", scripted({ ttftMs: 1e12 }), /"ttftMs"/],
    ["an unknown stop reason", scripted({ stopReason: "tired" }), /"stopReason"/],
    ["an unknown stream error", scripted({ streamError: "oops" }), /"streamError"/],
    ["tool and tools", scripted({ tool: "A", tools: [] }), /"tools": give tool or tools, not both/],
    ["input without a tool", scripted({ input: {} }), /"input": input needs tool/],
    ["a tool without a name", scripted({ tools: [{ input: {} }] }), /"tools\.0\.name"/],
    ["a step that is not an object", scripted("x"), /^Script step 1: /],
    ["no steps", scripted(), /^Script: a script needs at least one step/],
    ["not JSON", "<<script[{text: 1}]script>>", /^The script is not JSON: /],
    ["no end", '<<script[{"text":"a"}]', /]script>> is missing/],
  ])("%s", (_name, prompt, expected) => {
    const step = scriptedStep(prompt, 0);
    expect(step).toHaveProperty("error");
    expect(step !== null && "error" in step ? step.error : "").toMatch(expected);
  });
});

test("a prompt is shown without its scripts", () => {
  expect(withoutScripts(`a ${scripted({ text: "]" })} b`)).toBe("a Go on. (a script) b");
  expect(withoutScripts("a <<script[ b")).toBe("a (a script)");
  expect(withoutScripts("plain")).toBe("plain");
});
