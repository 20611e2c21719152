/** Which secrets a route can send, asked of the whole router: what arrives at the address that the file names. */
import { describe, expect, it } from "vitest";
import { effects } from "../base/effects.ts";
import { parseRouterConfig } from "../config/config.ts";
import { createRouter } from "../router.ts";

/** As in a Worker: provider keys beside the installation's own secrets and bindings that are no texts. */
const ENV = {
  GANTRY_API_KEY: "admin-secret",
  GANTRY_ENCRYPTION_KEY: "encryption-secret",
  RUNNER_TOKEN: "runner-secret",
  ANTHROPIC_API_KEY: "anthropic-secret",
  ANTHROPIC_AUTH_TOKEN: "token-secret",
  OPENAI_API_KEY: "openai-secret",
  GROQ_API_KEY: "groq-secret",
  MINE_API_KEY: "mine-secret",
  ELSEWHERE: "http://elsewhere",
  GROQ_AGAIN: "https://api.groq.com/openai/v1/",
  DB: { prepare: "nothing" } as unknown as string,
};

/** Asks for `model` over one route, and returns what was sent: the address's host and the secrets in the headers. */
async function sent(name: string, params: string, model: string): Promise<string> {
  const { config } = parseRouterConfig(
    `model_list: [{model_name: "${name}", litellm_params: {${params}}}]\nrouter_settings: {num_retries: 0}`,
  );
  const seen: string[] = [];
  const router = createRouter(config, {
    ...effects,
    env: ENV,
    log: () => {},
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers as Headers);
      const keys = [headers.get("x-api-key"), headers.get("authorization")].filter((each) => each !== null);
      seen.push([new URL(input as string).host, ...keys].join(" "));
      return Response.json({}, { status: 400 });
    },
  });
  const body = JSON.stringify({ model, max_tokens: 1, messages: [{ role: "user", content: "Hi" }] });
  const request = new Request("http://router.test/v1/messages", { method: "POST", body });
  const { status } = await router.messages(request, { account: "a", keyId: "k", sessionId: null });
  return seen.length === 0 ? `${status}` : [...new Set(seen)].join(", ");
}

describe("sec/H8 no name from outside chooses a secret or an address", () => {
  it.each([
    // The caller's model name decides the provider: nothing but a key of the route itself is sent.
    ["*", 'model: "*", api_base: http://h/v1', "gantry/x", "h"],
    ["*", 'model: "*", api_base: http://h/v1', "claude-sonnet-5", "h"],
    ["*", 'model: "*", api_base: http://h/v1', "anthropic/x", "h"],
    ["*", 'model: "*", api_base: http://h/v1', "groq/x", "h"],
    ["*", 'model: "*", api_base: http://h/v1', "mine/x", "h"],
    ["*", 'model: "*", api_base: http://h/v1', "bare", "h"],
    ["*", 'model: "*", api_base: http://h/v1, api_key: k', "groq/x", "h Bearer k"],
    ["*", 'model: "*", api_base: http://h/v1, api_key: os.environ/GROQ_API_KEY', "groq/x", "h Bearer groq-secret"],
    ["*/*", 'model: "*/*", api_base: http://h/v1', "groq/x", "h"],
    ["g*", 'model: "g*", api_base: http://h/v1', "groq/x", "h"],
    ["x/*", 'model: "*", api_base: http://h/v1', "x/groq/y", "h"],
    ["*-*", 'model: "anthropic/*", api_base: http://h, api_format: openai', "groq/a-b", "h"],
    ["*", 'model: "*"', "groq/x", "404"],
    ["*", 'model: "*"', "ollama/x", "404"],
    ["*", 'model: "*"', "claude-sonnet-5", "404"],
    // An address of its own gets a known provider's key only if the route says so.
    ["m", "model: openai/x, api_base: http://h/v1", "m", "h"],
    ["m", "model: anthropic/x, api_base: http://h", "m", "h"],
    ["m", "model: openai/x, api_base: os.environ/ELSEWHERE", "m", "elsewhere"],
    ["m", "model: x, custom_llm_provider: groq, api_base: http://h/v1", "m", "h"],
    ["m", "model: openai/x, api_base: http://h/v1, api_key: os.environ/OPENAI_API_KEY", "m", "h Bearer openai-secret"],
    // Gantry's own variables are not there, whatever the file says.
    ["m", "model: gantry/x, api_base: http://h/v1", "m", "h"],
    ["m", "model: groq/x, api_key: os.environ/GANTRY_API_KEY", "m", "401"],
    ["m", "model: groq/x, api_key: os.environ/RUNNER_TOKEN", "m", "401"],
    ["m", "model: mine/x, api_base: os.environ/DB", "m", "404"],
    // Right uses go on.
    ["m", "model: groq/x", "m", "api.groq.com Bearer groq-secret"],
    ["m", "model: groq/x, api_base: https://api.groq.com/openai/v1", "m", "api.groq.com Bearer groq-secret"],
    ["m", "model: groq/x, api_base: os.environ/GROQ_AGAIN", "m", "api.groq.com Bearer groq-secret"],
    ["m", "model: mine/x, api_base: http://h/v1", "m", "h Bearer mine-secret"],
    ["anthropic/*", 'model: "anthropic/*"', "claude-sonnet-5", "api.anthropic.com anthropic-secret"],
    ["claude-*", 'model: "claude-*"', "claude-sonnet-5", "api.anthropic.com anthropic-secret"],
  ])("%s => {%s}, asked for %s: %s", async (name, params, model, expected) => {
    expect(await sent(name, params, model)).toBe(expected);
  });

  it.each([
    ['"*", litellm_params: {model: "*"}', ["warning"]],
    ['m, litellm_params: {model: openai/x, api_base: "http://h"}', ["warning"]],
    ['m, litellm_params: {model: openai/x, api_base: "http://h", api_key: none}', []],
    ['m, litellm_params: {model: mine/x, api_base: "http://h", api_key: os.environ/GANTRY_API_KEY}', ["error"]],
    ["m, litellm_params: {model: mine/x, api_base: os.environ/RUNNER_URL}", ["error"]],
  ])("{model_name: %s}: %j", (entry, severities) => {
    const { problems } = parseRouterConfig(`model_list: [{model_name: ${entry}}]`);
    expect(problems.map(({ severity }) => severity)).toEqual(severities);
  });
});
