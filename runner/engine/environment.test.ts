import { afterEach, describe, expect, it, vi } from "vitest";
import { MARKER } from "../processes/processes.ts";
import { engineEnvironment, engineModel, engineTools, isClaude } from "./environment.ts";

const folders = {
  workspace: "/s/workspace",
  home: "/s/home",
  config: "/s/engine",
  tmp: "/s/tmp",
  mnt: "/s/mnt",
};
const environment = (args: Partial<Parameters<typeof engineEnvironment>[0]> = {}): Record<string, string> =>
  engineEnvironment({
    folders,
    models: { baseUrl: "http://127.0.0.1:8787", token: "gst_1" },
    model: "anthropic/claude-sonnet-5",
    marker: "abc:sesn_1",
    path: "/usr/bin:/bin",
    mounts: [],
    isRoot: false,
    ...args,
  });

/** The engine's whole environment for a Claude model. Adding or removing a variable is a decision. */
const CLAUDE = {
  PATH: "/usr/bin:/bin",
  HOME: "/s/home",
  TMPDIR: "/s/tmp",
  LANG: "C.UTF-8",
  TERM: "dumb",
  SHELL: "/bin/bash",
  GANTRY_SANDBOX: "abc:sesn_1",
  CLAUDE_CONFIG_DIR: "/s/engine",
  ANTHROPIC_BASE_URL: "http://127.0.0.1:8787",
  ANTHROPIC_AUTH_TOKEN: "gst_1",
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_AUTOUPDATER: "1",
  MCP_TOOL_TIMEOUT: "86400000",
  CLAUDE_CODE_STREAM_CLOSE_TIMEOUT: "86400000",
  CLAUDE_CODE_MAX_RETRIES: "2",
  API_TIMEOUT_MS: "120000",
};
const LEAN = {
  ...CLAUDE,
  CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS: "1",
  ENABLE_TOOL_SEARCH: "false",
  CLAUDE_CODE_ATTRIBUTION_HEADER: "0",
  CLAUDE_CODE_MAX_OUTPUT_TOKENS: "8192",
  CLAUDE_CODE_MAX_CONTEXT_TOKENS: "131072",
};

describe("the engine's environment", () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each<[string, Parameters<typeof environment>[0], object]>([
    ["a Claude model", {}, CLAUDE],
    ["a Claude model under its own name", { model: "claude-opus-5-5" }, CLAUDE],
    ["another model", { model: "groq/openai/gpt-oss-120b" }, LEAN],
    ["the demonstration model", { model: "demo/claude" }, LEAN],
    [
      "a model whose window is known",
      { model: "groq/x", models: { baseUrl: "http://r", token: "t", contextTokens: 32_000 } },
      {
        ...LEAN,
        ANTHROPIC_BASE_URL: "http://r",
        ANTHROPIC_AUTH_TOKEN: "t",
        CLAUDE_CODE_MAX_CONTEXT_TOKENS: "32000",
      },
    ],
    ["root, which could not bypass permissions otherwise", { isRoot: true }, { ...CLAUDE, IS_SANDBOX: "1" }],
  ])("for %s", (_name, args, wanted) => {
    expect(environment(args)).toEqual(wanted);
  });

  it("inherits nothing from the runner", () => {
    const secret = "sk-ant-secret";
    for (const name of ["ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "GANTRY_API_KEY", "LANG"])
      vi.stubEnv(name, secret);
    for (const name of Object.keys(CLAUDE)) vi.stubEnv(name, secret);
    expect(environment()).toEqual(CLAUDE);
  });

  it("carries the marker by which processes are found", () => {
    expect(environment()[MARKER]).toBe("abc:sesn_1");
  });
});

describe("model names for the engine", () => {
  it.each<[model: string, name: string, claude: boolean]>([
    ["anthropic/claude-sonnet-5", "claude-sonnet-5", true],
    ["claude-opus-5-5", "claude-opus-5-5", true],
    ["anthropic/other", "anthropic/other", false],
    ["openrouter/anthropic/claude-sonnet-5", "openrouter/anthropic/claude-sonnet-5", false],
    ["groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b", false],
    ["demo/claude", "demo/claude", false],
    ["", "", false],
  ])("%s", (model, name, claude) => {
    expect(engineModel(model)).toBe(name);
    expect(isClaude(model)).toBe(claude);
    expect(engineTools(model) === undefined).toBe(claude);
  });

  it("offers plain tools only to models other than Claude", () => {
    expect(engineTools("groq/x")).toEqual(expect.arrayContaining(["Bash", "Read", "Edit", "Write"]));
    expect(engineTools("groq/x")).not.toContain("ToolSearch");
  });
});
