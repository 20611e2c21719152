import { RequestRefused } from "@gantry/protocol/error.ts";
import { describe, expect, it } from "vitest";
import { ALLOWED_FLAGS, parseAdditionalArgs } from "./additional-args.ts";
import type { ArgOptions } from "./additional-args.ts";

/** Every flag of `claude` (2.1.329), documented or not, that is not in the allowlist. */
const OTHER_FLAGS = [
  ..."--add-dir --agent --agents --allow-dangerously-skip-permissions --autocompact --ax-screen-reader --bg".split(" "),
  ..."--background --bare --betas --brief --chrome --cloud -c --continue --dangerously-skip-permissions -d".split(" "),
  ..."--debug --debug-file --desktop --disable-slash-commands --environment".split(" "),
  ..."--exclude-dynamic-system-prompt-sections --fallback-model --file --fork-session".split(" "),
  ..."--forward-subagent-text --from-pr -h --help --ide --include-hook-events --include-partial-messages".split(" "),
  ..."--input-format --json-schema --mcp-config -n --name --no-chrome --no-session-persistence".split(" "),
  ..."--output-format --permission-prompts --permission-prompt-tool --plugin-dir --plugin-url -p --print".split(" "),
  ..."--prompt-suggestions --remote-control --remote-control-session-name-prefix --replay-user-messages".split(" "),
  ..."--restricted -r --resume --safe-mode --session-id --setting-sources --settings --strict-mcp-config".split(" "),
  ..."--system-prompt --system-prompt-file --append-system-prompt-file --system-prompt-snapshot --teleport".split(" "),
  ..."--tmux --tools -v --version -w --worktree --max-thinking-tokens --mcp-debug --init --maintenance".split(" "),
];

function refusal(args: string[]): { field: string; reason: string } {
  try {
    parseAdditionalArgs(args);
  } catch (error) {
    if (error instanceof RequestRefused && error.error.code === "invalid_request") return error.error;
    throw error;
  }
  throw new Error(`${JSON.stringify(args)} was accepted`);
}

describe("allowed flags", () => {
  it.each<[string[], ArgOptions]>([
    [[], {}],
    [["--model", "groq/openai/gpt-oss-120b"], { model: "groq/openai/gpt-oss-120b" }],
    [["--model=claude-sonnet-5"], { model: "claude-sonnet-5" }],
    [["--model=a=b"], { model: "a=b" }],
    [["--max-turns", "7"], { maxTurns: 7 }],
    [["--max-turns=7"], { maxTurns: 7 }],
    [["--max-budget-usd", "0.5"], { maxBudgetUsd: 0.5 }],
    [["--permission-mode", "plan"], { permissionMode: "plan" }],
    [["--append-system-prompt", "Be brief."], { appendSystemPrompt: "Be brief." }],
    [["--append-system-prompt", "-p is a flag"], { appendSystemPrompt: "-p is a flag" }],
    [
      ["--append-system-prompt=--dangerously-skip-permissions"],
      { appendSystemPrompt: "--dangerously-skip-permissions" },
    ],
    [["--append-system-prompt="], { appendSystemPrompt: "" }],
    [["--allowed-tools", "Bash(git *), Edit,,Read "], { allowedTools: ["Bash(git *)", "Edit", "Read"] }],
    [["--allowedTools=Bash"], { allowedTools: ["Bash"] }],
    [["--disallowed-tools", "WebFetch"], { disallowedTools: ["WebFetch"] }],
    [["--disallowedTools", ""], { disallowedTools: [] }],
    [["--effort", "high"], { effort: "high" }],
    [["--verbose"], { verbose: true }],
    [["--verbose", "--max-turns", "2", "--verbose"], { verbose: true, maxTurns: 2 }],
    [["--max-turns", "2", "--max-turns", "3"], { maxTurns: 3 }],
  ])("%j", (args, options) => {
    expect(parseAdditionalArgs(args)).toEqual(options);
  });
});

describe("other flags", () => {
  it.each(OTHER_FLAGS)("%s is refused by name", (flag) => {
    for (const args of [[flag], [flag, "x"], [`${flag}=x`]]) {
      const { field, reason } = refusal(args);
      expect(field).toBe("additionalArgs[0]");
      expect(reason).toContain(JSON.stringify(args[0]));
      for (const allowed of ALLOWED_FLAGS) expect(reason).toContain(allowed);
    }
  });

  it("are not in the allowlist", () => {
    expect(OTHER_FLAGS.filter((flag) => ALLOWED_FLAGS.includes(flag))).toEqual([]);
  });

  it.each(
    [
      ["", "hello", "--", "-", "--Model", "--model ", " --model", "--MODEL", "-model", "--constructor", "__proto__"],
      ["constructor", "toString", "--verbose --dangerously-skip-permissions", "--model\n--settings", "$(id)", "; id"],
    ].flat(),
  )("%j is not a flag", (text) => {
    for (const args of [[text], [text, "x"], [`${text}=x`]]) expect(refusal(args).field).toBe("additionalArgs[0]");
  });
});

/** The field is the index of the flag; the reason names the flag. */
describe("values that are not allowed", () => {
  it.each<[string[], field: string, says: string]>([
    [["--model"], "additionalArgs[0]", "--model needs a value"],
    [["--max-turns", "--verbose"], "additionalArgs[0]", "--max-turns needs a value"],
    [["--verbose=true"], "additionalArgs[0]", "--verbose takes no value"],
    [["--verbose", "true"], "additionalArgs[1]", '"true" is not allowed'],
    [["--max-turns", "0"], "additionalArgs[0]", "--max-turns"],
    [["--max-turns", "-1"], "additionalArgs[0]", "--max-turns"],
    [["--max-turns", "1.5"], "additionalArgs[0]", "--max-turns"],
    [["--max-turns", "many"], "additionalArgs[0]", "--max-turns"],
    [["--max-turns="], "additionalArgs[0]", "--max-turns"],
    [["--max-turns=Infinity"], "additionalArgs[0]", "--max-turns"],
    [["--max-budget-usd", "0"], "additionalArgs[0]", "--max-budget-usd"],
    [["--max-budget-usd", "NaN"], "additionalArgs[0]", "--max-budget-usd"],
    [["--effort", "extreme"], "additionalArgs[0]", "--effort"],
    [["--verbose", "--effort", "extreme"], "additionalArgs[1]", "--effort"],
    [["--allowedTools", "Bash", "Edit"], "additionalArgs[2]", '"Edit" is not allowed'],
  ])("%j", (args, field, says) => {
    const refused = refusal(args);
    expect(refused.reason).toContain(says);
    expect(refused.field).toBe(field);
  });
});
