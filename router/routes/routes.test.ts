import { describe, expect, test } from "vitest";
import { parseRouterConfig } from "../config/config.ts";
import { referencedEnv } from "./keys.ts";
import { compileRoutes, defaultModel, toDeployment, unusableMessage } from "./routes.ts";

const table = (pairs: readonly (readonly [name: string, model: string])[], rest = "") => {
  const list = pairs.map(
    ([name, model]) => `  - {model_name: "${name}", litellm_params: {model: "${model}", api_base: "http://up/v1"}}`,
  );
  const { config, problems } = parseRouterConfig(`model_list:\n${list.join("\n")}\n${rest}`);
  expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
  return compileRoutes(config);
};

/** `route => provider | model` for a name, as it would be called. */
function resolve(pairs: readonly (readonly [string, string])[], asked: string, rest = ""): string {
  const match = table(pairs, rest).match(asked);
  if (match === undefined) return "none";
  const entry = match.entries[0];
  if (entry === undefined) return "empty";
  const deployment = toDeployment(entry, match, { ANTHROPIC_API_KEY: "k", GROQ_API_KEY: "k", OPENAI_API_KEY: "k" });
  return "unusable" in deployment
    ? deployment.unusable
    : `${match.route} => ${deployment.provider} | ${deployment.model}`;
}

const SHIPPED = [
  ["groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"],
  ["anthropic/*", "anthropic/*"],
  ["groq/*", "groq/*"],
] as const;

describe("name → deployment", () => {
  test.each<[asked: string, expected: string, pairs: readonly (readonly [string, string])[], rest?: string]>([
    // Exact before wildcard, in any order in the file.
    ["groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b => groq | openai/gpt-oss-120b", SHIPPED],
    ["groq/x/y", "groq/* => groq | x/y", SHIPPED],
    [
      "a/b",
      "a/b => openai | exact",
      [
        ["*", "openai/*"],
        ["a/b", "openai/exact"],
      ],
    ],
    // Most specific first.
    [
      "groq/fast/x",
      "groq/fast/* => openai | x",
      [
        ["groq/*", "groq/*"],
        ["groq/fast/*", "openai/*"],
      ],
    ],
    [
      "claude-opus-9",
      "claude-opus-* => openai | o-9",
      [
        ["claude-*", "openai/c-*"],
        ["claude-opus-*", "openai/o-*"],
      ],
    ],
    // A pattern matches the whole name; a star is never empty; dots are literal.
    ["my-groq/x", "none", [["groq/*", "groq/*"]]],
    ["groq/", "none", [["groq/*", "groq/*"]]],
    ["a-x-zz", "none", [["a-*-z", "openai/*"]]],
    ["gptX5", "none", [["gpt.5*", "openai/*"]]],
    ["a\nb", "* => openai | a\nb", [["*", "openai/*"]]],
    // Captures fill the stars in order; more captures than stars: the caller's own name.
    ["a1-b2", "a*-b* => openai | 1.2", [["a*-b*", "openai/*.*"]]],
    ["a1-b2", "a*-b* => openai | a1-b2", [["a*-b*", "openai/*"]]],
    ["plain", "p* => openai | fixed", [["p*", "openai/fixed"]]],
    // Bare Claude names, retired ones, demo.
    ["claude-sonnet-5", "anthropic/* => anthropic | claude-sonnet-5", SHIPPED],
    ["claude-haiku-4-5-20251001", "anthropic/* => anthropic | claude-haiku-4-5-20251001", SHIPPED],
    ["claude-sonnet-5", "claude-sonnet-5 => groq | mine", [...SHIPPED, ["claude-sonnet-5", "groq/mine"]]],
    ["claude-3-5-sonnet-20241022", "anthropic/* => anthropic | claude-sonnet-5", SHIPPED],
    ["claude-3-sonnet", "anthropic/* => anthropic | claude-sonnet-5", SHIPPED],
    ["anthropic/claude-3-sonnet", "anthropic/* => anthropic | claude-sonnet-5", SHIPPED],
    ["claude-3-7-sonnet-latest", "anthropic/* => anthropic | claude-sonnet-5", SHIPPED],
    ["claude-3-haiku-20240307", "anthropic/* => anthropic | claude-3-haiku-20240307", SHIPPED],
    ["claude-3-sonnet", "claude-3-sonnet => groq | mine", [...SHIPPED, ["claude-3-sonnet", "groq/mine"]]],
    ["demo/scripted", "demo/* => demo | scripted", SHIPPED],
    ["demo/anything", "demo/* => demo | anything", []],
    ["nobody", "none", SHIPPED],
    ["anthropic/*", "anthropic/* => anthropic | *", SHIPPED],
    // Aliases, aliases of aliases, and a circle of them.
    ["fast", "groq/* => groq | quick", SHIPPED, "router_settings: {model_group_alias: {fast: groq/quick}}"],
    [
      "faster",
      "groq/* => groq | quick",
      SHIPPED,
      "router_settings: {model_group_alias: {faster: fast, fast: groq/quick}}",
    ],
    ["a", "none", SHIPPED, "router_settings: {model_group_alias: {a: b, b: a}}"],
    // Prefixes: known, unknown, none.
    ["m", "m => mine | llama/3", [["m", "mine/llama/3"]]],
    ["m", "m => openai | meta-llama/llama-3", [["m", "openai/meta-llama/llama-3"]]],
    ["m", "m => anthropic | claude-x", [["m", "claude-x"]]],
    ["m", "m => openai | bare", [["m", "bare"]]],
  ])("%s is %s", (asked, expected, pairs, rest) => {
    expect(resolve(pairs, asked, rest)).toBe(expected);
  });

  test("several entries with one name are one group", () => {
    expect(
      table([
        ["m", "openai/a"],
        ["m", "groq/b"],
        ["n", "openai/c"],
      ]).match("m")?.entries,
    ).toHaveLength(2);
  });
});

describe("deployments", () => {
  const one = (params: string, env: Record<string, string> = {}, asked = "m") => {
    const { config } = parseRouterConfig(
      `model_list: [{model_name: m, litellm_params: {${params}}}, {model_name: "w/*", litellm_params: {${params}}}]`,
    );
    const match = compileRoutes(config).match(asked);
    if (match?.entries[0] === undefined) throw new Error("no route");
    return toDeployment(match.entries[0], match, env);
  };

  test.each<[params: string, env: Record<string, string>, expected: object]>([
    [
      "model: groq/x",
      { GROQ_API_KEY: "g" },
      { apiBase: "https://api.groq.com/openai/v1", apiKey: "g", auth: "bearer", apiFormat: "openai" },
    ],
    [
      "model: openrouter/x",
      { OPENROUTER_API_KEY: "o" },
      { apiBase: "https://openrouter.ai/api/v1", apiKey: "o", apiFormat: "openai" },
    ],
    [
      "model: openrouter/x, api_format: anthropic",
      { OPENROUTER_API_KEY: "o" },
      { apiBase: "https://openrouter.ai/api", auth: "bearer", apiFormat: "anthropic" },
    ],
    ["model: deepseek/x", { DEEPSEEK_API_KEY: "d" }, { apiBase: "https://api.deepseek.com/v1" }],
    ["model: openai/x", { OPENAI_API_KEY: "o", OPENAI_BASE_URL: "http://mine/v1/" }, { apiBase: "http://mine/v1" }],
    [
      "model: anthropic/x",
      { ANTHROPIC_API_KEY: "a" },
      { apiBase: "https://api.anthropic.com", auth: "x-api-key", apiFormat: "anthropic" },
    ],
    [
      "model: anthropic/x",
      { ANTHROPIC_AUTH_TOKEN: "t", ANTHROPIC_BASE_URL: "http://litellm:4000/" },
      { apiBase: "http://litellm:4000", apiKey: "t", auth: "bearer" },
    ],
    ["model: anthropic/x", { CLAUDE_CODE_OAUTH_TOKEN: "o" }, { apiKey: "o", auth: "oauth" }],
    [
      "model: anthropic/x, api_key: os.environ/ANTHROPIC_API_KEY",
      { CLAUDE_CODE_OAUTH_TOKEN: "o" },
      { apiKey: "o", auth: "oauth" },
    ],
    [
      "model: anthropic/x, api_key: os.environ/MY_KEY",
      { MY_KEY: "m", ANTHROPIC_API_KEY: "a" },
      { apiKey: "m", auth: "x-api-key" },
    ],
    ["model: anthropic/x, api_base: http://h/v1/messages, api_key: k", {}, { apiBase: "http://h" }],
    ["model: openai/x, api_base: os.environ/WHERE, api_key: k", { WHERE: "http://w/v1" }, { apiBase: "http://w/v1" }],
    ["model: openai/x, api_base: http://h/v1/chat/completions, api_key: k", {}, { apiBase: "http://h/v1" }],
    ["model: mine/x, api_base: http://h/v1", {}, { provider: "mine", model: "x", auth: "none", apiFormat: "openai" }],
    ["model: mine/x, api_base: http://h/v1", { MINE_API_KEY: "k" }, { apiKey: "k", auth: "bearer" }],
    [
      "model: my-gate/x, api_base: http://h, api_format: anthropic",
      { MY_GATE_API_KEY: "k" },
      { apiKey: "k", auth: "x-api-key", apiFormat: "anthropic" },
    ],
    ["model: x/y, custom_llm_provider: groq", { GROQ_API_KEY: "g" }, { provider: "groq", model: "x/y" }],
    ["model: ollama/llama3", {}, { apiBase: "http://localhost:11434/v1", auth: "none" }],
    ["model: demo/x", {}, { apiFormat: "demo", auth: "none", apiBase: "" }],
  ])("{%s} with %j", (params, env, expected) => {
    expect(one(params, env)).toMatchObject(expected);
  });

  test.each<[params: string, env: Record<string, string>, message: string]>([
    [
      "model: groq/x",
      {},
      'No key for provider "groq", which model "m" needs: set GROQ_API_KEY in .env or the environment (on Cloudflare: wrangler secret put GROQ_API_KEY).',
    ],
    [
      "model: anthropic/x",
      { ANTHROPIC_API_KEY: "" },
      'No key for provider "anthropic", which model "m" needs: set one of ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN in .env or the environment (on Cloudflare: wrangler secret put ANTHROPIC_API_KEY).',
    ],
    [
      "model: mine/x, api_base: http://h, api_key: os.environ/NOT_SET",
      {},
      'No key for provider "mine", which model "m" needs: set NOT_SET in .env or the environment (on Cloudflare: wrangler secret put NOT_SET).',
    ],
    [
      "model: mine/x",
      {},
      'No address for provider "mine", which model "m" needs: give its route an api_base in litellm_config.yaml.',
    ],
  ])("{%s} names the missing variable or address", (params, env, message) => {
    const deployment = one(params, env);
    expect("unusable" in deployment && unusableMessage(deployment, "m")).toBe(message);
  });

  test("ids: stable by name and position, one for each model of a wildcard", () => {
    expect(one("model: ollama/a")).toMatchObject({ id: "m#1" });
    expect(one("model: 'ollama/*'", {}, "w/a")).toMatchObject({ id: "w/*#1:a" });
  });
});

describe("the model for a request that names none", () => {
  const all = parseRouterConfig(
    `model_list: [${["anthropic/*", "openrouter/*", "groq/*", "openai/*"].map((name) => `{model_name: "${name}", litellm_params: {model: "${name}"}}`).join(", ")}]`,
  ).config;
  test.each<[env: Record<string, string>, model: string]>([
    [{}, "demo/scripted"],
    [{ ANTHROPIC_API_KEY: "k", GROQ_API_KEY: "k" }, "anthropic/claude-sonnet-5"],
    [{ CLAUDE_CODE_OAUTH_TOKEN: "k" }, "anthropic/claude-sonnet-5"],
    [{ GROQ_API_KEY: "k", OPENROUTER_API_KEY: "k" }, "openrouter/qwen/qwen3-coder"],
    [{ GROQ_API_KEY: "k", OPENAI_API_KEY: "k" }, "groq/openai/gpt-oss-120b"],
    [{ OPENAI_API_KEY: "k" }, "openai/gpt-5"],
    [{ OPENAI_API_KEY: "" }, "demo/scripted"],
    [{ MODEL: "my/model", ANTHROPIC_API_KEY: "k" }, "my/model"],
  ])("%j: %s", (env, model) => {
    expect(defaultModel(env, all)).toBe(model);
  });

  test("a provider whose models no route takes is skipped", () => {
    expect(defaultModel({ ANTHROPIC_API_KEY: "k" }, parseRouterConfig("").config)).toBe("demo/scripted");
  });
});

test("variables: those in the entries, those of their providers, and those that every installation may set", () => {
  const { config } = parseRouterConfig(
    `model_list: [{model_name: a, litellm_params: {model: groq/x, api_key: os.environ/A_KEY, api_base: os.environ/A_BASE}}, {model_name: b, litellm_params: {model: mine/x, api_base: "http://h"}}]`,
  );
  expect(referencedEnv(config)).toEqual(
    expect.arrayContaining([
      "A_BASE",
      "A_KEY",
      "ANTHROPIC_API_KEY",
      "CLAUDE_CODE_OAUTH_TOKEN",
      "MINE_API_KEY",
      "MODEL",
    ]),
  );
});
