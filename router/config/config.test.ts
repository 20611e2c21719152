import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { referencedEnv } from "../routes/keys.ts";
import { parseRouterConfig } from "./config.ts";

const entry = (params: string, more = ""): string =>
  `model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/x\n${params}${more}`;

describe("problems have a line and a column", () => {
  test.each<[name: string, yaml: string, problems: string[]]>([
    ["an empty file is fine", "", []],
    ["no routes is fine", "router_settings: {num_retries: 1}", []],
    ["not a map", "- a", ["1:1 error : the file must be a map with `model_list`"]],
    ["model_list is not a list", "model_list: {a: b}", ["1:1 error model_list: `model_list` must be a list"]],
    [
      "no model",
      "model_list:\n  - model_name: m\n    litellm_params: {api_key: x}",
      ["3:5 error model_list[0].litellm_params.model: Invalid input: expected string, received undefined"],
    ],
    [
      "a wrong type",
      entry("      rpm: many\n"),
      ["5:7 error model_list[0].litellm_params.rpm: Invalid input: expected number, received string"],
    ],
    [
      "an unknown key of a deployment",
      entry("      temprature: 1\n"),
      ["5:7 warning model_list[0].litellm_params.temprature: unknown key `temprature`, ignored"],
    ],
    [
      "a LiteLLM key without effect here",
      entry("      drop_params: true\n"),
      ["5:7 warning model_list[0].litellm_params.drop_params: `drop_params` is LiteLLM's and has no effect here"],
    ],
    ["an unknown section", "modle_list: []", ["1:1 warning modle_list: unknown key `modle_list`, ignored"]],
    [
      "a section of LiteLLM's proxy",
      "general_settings: {master_key: x}",
      ["1:1 warning general_settings: `general_settings` is LiteLLM's and has no effect here"],
    ],
    [
      "an unknown setting",
      "router_settings:\n  retry_policy:\n    max_retry: 3",
      ["3:5 warning router_settings.retry_policy.max_retry: unknown key `max_retry`, ignored"],
    ],
    [
      "an unsupported strategy",
      "router_settings:\n  routing_strategy: usage-based-routing-v2",
      [
        "2:3 warning router_settings.routing_strategy: `usage-based-routing-v2` is not supported here (only simple-shuffle, least-busy, latency-based-routing, first-healthy): simple-shuffle is used",
      ],
    ],
    [
      "more stars than can be filled",
      'model_list:\n  - model_name: "a/*"\n    litellm_params:\n      model: "groq/*/*"',
      ["4:7 error model_list[0].litellm_params.model: `model` has more `*` than `model_name`: nothing would fill them"],
    ],
    [
      "a key in the file",
      entry("      api_key: sk-1234567890\n"),
      [
        "5:7 warning model_list[0].litellm_params.api_key: the file contains a key: write `os.environ/NAME` and set NAME instead",
      ],
    ],
    [
      "an unknown provider without an address",
      "model_list:\n  - model_name: m\n    litellm_params: {model: mine/x}",
      ['3:22 error model_list[0].litellm_params.model: provider "mine" is not known: it needs an `api_base`'],
    ],
    [
      "an id twice",
      "model_list:\n  - {model_name: a, litellm_params: {model: openai/x}, model_info: {id: i}}\n  - {model_name: b, litellm_params: {model: openai/x}, model_info: {id: i}}",
      ["3:69 error model_list[1].model_info.id: id `i` is already taken by another entry"],
    ],
    [
      "an unknown fallback",
      entry("", "router_settings:\n  fallbacks: [{m: [nobody]}]"),
      ["6:3 warning router_settings.fallbacks: no route takes `nobody`"],
    ],
    [
      "broken YAML",
      "model_list:\n  - model_name: [",
      ["2:18 error : Flow sequence in block collection must be sufficiently indented and end with a ]"],
    ],
    ["a duplicate key", "router_settings: {}\nrouter_settings: {}", ["2:1 error : Map keys must be unique"]],
  ])("%s", (_, yaml, expected) => {
    const { problems } = parseRouterConfig(yaml);
    expect(problems.map((p) => `${p.line}:${p.column} ${p.severity} ${p.path}: ${p.message}`)).toEqual(expected);
  });

  test("one wrong entry, or one wrong value, leaves the rest as it is", () => {
    const { config, problems } = parseRouterConfig(
      "model_list:\n  - model_name: bad\n  - {model_name: good, litellm_params: {model: openai/x}}\nrouter_settings: {num_retries: lots, timeout: 5}",
    );
    expect(problems).toHaveLength(2);
    expect(config.routes.map(({ name }) => name)).toEqual(["good"]);
    expect(config).toMatchObject({ retry: { max: 2 }, firstByteMs: 5_000 });
  });
});

describe("all spellings", () => {
  test.each<[name: string, yaml: string, expected: object]>([
    [
      "nothing set",
      "",
      {
        strategy: "simple-shuffle",
        retry: { max: 2, exponential: true },
        firstByteMs: 30_000,
        totalMs: 600_000,
        idleMs: 60_000,
        keepAliveMs: 15_000,
        cooldown: { ms: 5_000, allowedFails: null },
        cacheTtlMs: 0,
      },
    ],
    [
      "older spellings",
      "router_settings: {routing_strategy: least-busy, enable_loadbalancing: true, retry_policy: {max_retries: 3, timeout: 20, exponential_backoff: false}}",
      { strategy: "least-busy", retry: { max: 3, exponential: false }, firstByteMs: 20_000, totalMs: 600_000 },
    ],
    [
      "LiteLLM's keys",
      "router_settings: {num_retries: 4, timeout: 90, stream_timeout: 12, retry_after: 2, allowed_fails: 3, cooldown_time: 60}",
      {
        retry: { max: 4, minDelayMs: 2_000 },
        firstByteMs: 12_000,
        totalMs: 90_000,
        cooldown: { ms: 60_000, allowedFails: 3 },
      },
    ],
    [
      "LiteLLM's retry policy",
      "router_settings: {retry_policy: {RateLimitErrorRetries: 7, TimeoutErrorRetries: 0}}",
      { retry: { byKind: { rateLimit: 7, timeout: 0 } } },
    ],
    [
      "litellm_settings",
      "litellm_settings: {num_retries: 1, request_timeout: 40, cache: true, cache_params: {ttl: 30}}",
      { retry: { max: 1 }, totalMs: 40_000, cacheTtlMs: 30_000 },
    ],
    [
      "no load balancing",
      "router_settings: {enable_loadbalancing: false, routing_strategy: least-busy}",
      { strategy: "first-healthy" },
    ],
    ["no cooldowns", "router_settings: {disable_cooldowns: true, cooldown_time: 9}", { cooldown: { ms: 0 } }],
  ])("%s", (_, yaml, expected) => {
    const { config, problems } = parseRouterConfig(yaml);
    expect(problems).toEqual([]);
    expect(config).toMatchObject(expected);
  });

  test("anchors, as LiteLLM's files use them", () => {
    const { config, problems } = parseRouterConfig(
      "model_list:\n  - {model_name: a, litellm_params: &common {model: groq/x, rpm: 5}}\n  - {model_name: b, litellm_params: {<<: *common, rpm: 7}}",
    );
    expect(problems).toEqual([]);
    expect(config.routes.map(({ model, requestsPerMinute }) => [model, requestsPerMinute])).toEqual([
      ["groq/x", 5],
      ["groq/x", 7],
    ]);
  });

  test("anchors that expand without bound are a problem, not a crash", () => {
    const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(", ")}]`);
    const { problems } = parseRouterConfig(`l0: &l0 [x]\n${levels.join("\n")}`);
    expect(problems.some(({ message }) => message.includes("alias"))).toBe(true);
  });

  test("a deployment's own keys", () => {
    const { config, problems } = parseRouterConfig(
      entry(
        "      api_base: https://x/v1\n      api_key: os.environ/KEY\n      rpm: 10\n      tpm: 1000\n      weight: 2\n      order: 1\n      timeout: 50\n      stream_timeout: 5\n      temperature: 0.2\n      extra_headers: {a: b}\n      extra_body: {c: 1}\n      additional_drop_params: [d]\n      max_retries: 0\n      cache_ttl: 7\n",
        "    model_info: {id: one, max_input_tokens: 131072, max_output_tokens: 8192, input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6, supports_vision: true, mode: chat}\n",
      ),
    );
    expect(problems.map(({ path }) => path)).toEqual(["model_list[0].model_info.mode"]);
    expect(config.routes[0]).toEqual({
      id: "one",
      name: "m",
      model: "openai/x",
      apiBase: "https://x/v1",
      apiKey: "os.environ/KEY",
      params: {
        extraHeaders: { a: "b" },
        extraBody: { c: 1 },
        defaults: { temperature: 0.2 },
        dropParams: ["d"],
        maxOutputTokens: 8192,
      },
      weight: 2,
      order: 1,
      requestsPerMinute: 10,
      tokensPerMinute: 1000,
      firstByteMs: 5_000,
      totalMs: 50_000,
      maxRetries: 0,
      cacheTtlMs: 7_000,
      contextTokens: 131_072,
      price: { input: 1e-6, output: 2e-6 },
    });
  });
});

test("the shipped file has no problem, and its variables are known", () => {
  const { config, problems } = parseRouterConfig(
    readFileSync(new URL("../../litellm_config.yaml", import.meta.url), "utf8"),
  );
  expect(problems).toEqual([]);
  expect(config.routes.map(({ name }) => name)).toEqual([
    "groq/openai/gpt-oss-120b",
    "groq/openai/gpt-oss-20b",
    "groq/moonshotai/kimi-k2-instruct",
    "openrouter/z-ai/glm-4.5-air",
    "openrouter/z-ai/glm-4.5",
    "openrouter/qwen/qwen3-coder",
    "anthropic/*",
    "openrouter/*",
    "groq/*",
    "openai/*",
  ]);
  expect(config).toMatchObject({ strategy: "least-busy", retry: { max: 3, exponential: true }, firstByteMs: 30_000 });
  expect(referencedEnv(config)).toEqual([
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "GROQ_API_KEY",
    "MODEL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENROUTER_API_KEY",
  ]);
});
