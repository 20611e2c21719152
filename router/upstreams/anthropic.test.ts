/** The pass-through over a real socket: requests and answers are passed on byte for byte. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { effects } from "../base/effects.ts";
import type { UsageRecord } from "../base/usage.ts";
import { parseRouterConfig } from "../config/config.ts";
import { createRouter, type Router } from "../router.ts";
import { delta, START, STOP } from "../testing/scripted-upstream.ts";

interface Seen {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
const seen: Seen[] = [];
const records: UsageRecord[] = [];
let answer: { status: number; type: string; body: string | readonly string[]; headers?: Record<string, string> };
const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    seen.push({ url: request.url ?? "", headers: request.headers, body: Buffer.concat(pieces).toString() });
    response.writeHead(answer.status, { "content-type": answer.type, ...answer.headers });
    for (const piece of [answer.body].flat()) response.write(piece);
    response.end();
  });
});
let base = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});
beforeEach(() => {
  seen.length = 0;
  records.length = 0;
  answer = {
    status: 200,
    type: "application/json",
    body: '{"type": "message",  "usage":{"input_tokens":3,"output_tokens":4}}',
  };
});

function routerOf(yaml: string, env: Record<string, string> = { ANTHROPIC_API_KEY: "sk-ant-own" }): Router {
  const { config } = parseRouterConfig(yaml.replaceAll("BASE", base));
  return createRouter(config, { ...effects, env, log: () => {}, onUsage: (record) => records.push(record) });
}
const WILD = `model_list: [{model_name: "anthropic/*", litellm_params: {model: "anthropic/*", api_base: "BASE", api_key: os.environ/ANTHROPIC_API_KEY}}]\nrouter_settings: {num_retries: 0}`;

function post(
  router: Router,
  body: string,
  headers: Record<string, string> = {},
  path = "/v1/messages?beta=true",
): Promise<Response> {
  const request = new Request(`http://router.test${path}`, { method: "POST", body, headers });
  const caller = { account: "acct", keyId: null, sessionId: null };
  return path.includes("count_tokens") ? router.countTokens(request, caller) : router.messages(request, caller);
}

describe("the request", () => {
  /** Formatting, order, escapes and numbers that a JSON round trip would change. */
  const body = (model: string): string =>
    `{ "messages": [ {"role":"user","content":"\\u00e9 é \\"model\\": \\"x\\" 😀"} ],\n\t"max_tokens":1e2, "temperature": 1.0,\n "model" :  ${model} , "tools":[{"name":"t","input_schema":{"model":"inner"}}],"z":12345678901234567890 }`;

  test.each([
    ["anthropic/claude-sonnet-5", "claude-sonnet-5"],
    ["claude-sonnet-5", "claude-sonnet-5"],
    ["claude-3-5-sonnet-20241022", "claude-sonnet-5"],
  ])("model %s arrives as %s, all other bytes unchanged", async (asked, arrives) => {
    await post(routerOf(WILD), body(JSON.stringify(asked)));
    expect(seen[0]?.body).toBe(body(JSON.stringify(arrives)));
    expect(seen[0]?.url).toBe("/v1/messages?beta=true");
  });

  test("headers: the caller's betas and version are forwarded, its credentials are not", async () => {
    await post(routerOf(WILD), body('"claude-x"'), {
      "anthropic-beta": "a-1,b-2",
      "anthropic-version": "2099-01-01",
      authorization: "Bearer caller",
      "x-api-key": "caller",
      cookie: "caller=1",
      "x-forwarded-for": "1.2.3.4",
    });
    const headers = seen[0]?.headers ?? {};
    expect(headers).toMatchObject({
      "anthropic-beta": "a-1,b-2",
      "anthropic-version": "2099-01-01",
      "x-api-key": "sk-ant-own",
    });
    expect(JSON.stringify(headers)).not.toContain("caller");
    expect(headers["x-forwarded-for"]).toBeUndefined();
  });

  test.each([
    [{ ANTHROPIC_API_KEY: "k" }, { "x-api-key": "k" }, undefined],
    [{ ANTHROPIC_AUTH_TOKEN: "t" }, { authorization: "Bearer t" }, undefined],
    [{ CLAUDE_CODE_OAUTH_TOKEN: "o" }, { authorization: "Bearer o" }, "oauth-2025-04-20"],
    [{ ANTHROPIC_API_KEY: "sk-ant-oat01-x" }, { authorization: "Bearer sk-ant-oat01-x" }, "oauth-2025-04-20"],
    [{ ANTHROPIC_API_KEY: "k", CLAUDE_CODE_OAUTH_TOKEN: "o" }, { "x-api-key": "k" }, undefined],
  ])("credentials of %j", async (env, expected, beta) => {
    await post(routerOf(WILD, env as Record<string, string>), body('"claude-x"'));
    expect(seen[0]?.headers).toMatchObject(expected);
    expect(seen[0]?.headers["anthropic-beta"]).toBe(beta);
    await post(routerOf(WILD, env as Record<string, string>), body('"claude-x"'), { "anthropic-beta": "mine" });
    expect(seen[1]?.headers["anthropic-beta"]).toBe(beta === undefined ? "mine" : `mine,${beta}`);
  });

  test("the body is rewritten only when the configuration changes it", async () => {
    const yaml = `model_list: [{model_name: m, litellm_params: {model: anthropic/up, api_base: "BASE/v1/", api_key: k, max_tokens: 50, temperature: 0.5, extra_headers: {x-team: a}, extra_body: {speed: fast}, additional_drop_params: [z]}}]`;
    await post(routerOf(yaml), '{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"x"}],"z":1}');
    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      model: "up",
      max_tokens: 50,
      temperature: 0.5,
      speed: "fast",
      messages: [{ role: "user", content: "x" }],
    });
    expect(seen[0]?.headers["x-team"]).toBe("a");
    expect(seen[0]?.url).toBe("/v1/messages?beta=true");
  });

  test("thinking that a translated provider wrote is not sent", async () => {
    const foreign = { type: "thinking", thinking: "hm", signature: "Z2FudHJ5LmRldGFpbHMuW10=" };
    const hidden = { type: "redacted_thinking", data: "Z2FudHJ5LmRldGFpbHMuW10=" };
    const own = { type: "thinking", thinking: "ha", signature: "EqQBCkYIBxgC" };
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: [foreign] },
      { role: "assistant", content: [foreign, hidden, own, { type: "text", text: "b" }] },
      { role: "user", content: "c" },
    ];
    await post(routerOf(WILD), JSON.stringify({ model: "claude-x", max_tokens: 9, messages }));
    expect((JSON.parse(seen[0]?.body ?? "") as { messages: unknown }).messages).toEqual([
      messages[0],
      { role: "assistant", content: [own, { type: "text", text: "b" }] },
      messages[3],
    ]);
  });
});

describe("the answer", () => {
  const ask = '{"model":"claude-sonnet-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}';
  const askStream = ask.replace("{", '{"stream":true,');

  test("a message comes back byte for byte, and is counted and priced", async () => {
    answer.headers = { "request-id": "req_up", "anthropic-ratelimit-requests-remaining": "5", "set-cookie": "a=b" };
    const response = await post(routerOf(WILD), ask);
    expect(await response.text()).toBe(answer.body);
    expect(response.headers.get("request-id")).toBe("req_up");
    expect(response.headers.get("x-gantry-request-id")).toMatch(/^req_/);
    expect(response.headers.get("anthropic-ratelimit-requests-remaining")).toBe("5");
    expect(response.headers.get("set-cookie")).toBeNull();
    expect(records).toMatchObject([
      {
        account: "acct",
        sessionId: null,
        outcome: "ok",
        usage: { inputTokens: 3, outputTokens: 4 },
        costUsd: 0.000046,
      },
    ]);
  });

  test("a stream comes back byte for byte, and is counted", async () => {
    answer = {
      status: 200,
      type: "text/event-stream; charset=utf-8",
      body: [START + delta("é\\u00e9"), `: comment\n\n${delta("x")}`, STOP],
    };
    const response = await post(routerOf(WILD), askStream);
    expect(await response.text()).toBe([answer.body].flat().join(""));
    expect(records).toMatchObject([{ outcome: "ok", stream: true, usage: { inputTokens: 10, outputTokens: 7 } }]);
  });

  test.each([
    [
      "Anthropic's error unchanged",
      400,
      "application/json",
      '{"type":"error", "error":{"type":"invalid_request_error","message":"no"},"request_id":"req_up"}',
      400,
      "invalid_request_error",
      "no",
    ],
    [
      "another JSON error in Anthropic's shape",
      422,
      "application/json",
      '{"error":{"message":"nope"}}',
      422,
      "invalid_request_error",
      "nope",
    ],
    ["HTML", 503, "text/html", "<h1>secret page</h1>", 503, "api_error", "not a message"],
    ["a redirect", 302, "text/html", "", 502, "api_error", "302"],
    [
      "an error in a 200",
      200,
      "application/json",
      '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}',
      529,
      "overloaded_error",
      "busy",
    ],
    ["HTML in a 200", 200, "text/html", "<p>", 502, "api_error", "not a message"],
    ["nothing", 200, "application/json", "", 502, "api_error", "not a message"],
  ])("%s", async (_, status, type, body, expected, errorType, words) => {
    answer = { status, type, body, headers: { location: "http://elsewhere.test" } };
    for (const request of [ask, askStream]) {
      const response = await post(routerOf(WILD), request);
      expect(response.status).toBe(expected);
      const text = await response.text();
      const error = JSON.parse(text) as { type: string; error: { type: string; message: string }; request_id: string };
      expect(error).toMatchObject({ type: "error", error: { type: errorType } });
      expect(error.error.message).toContain(words);
      expect(error.request_id).toMatch(/^req_/);
      if (body.includes("req_up")) expect(text).toBe(body);
      expect(text).not.toContain("secret");
    }
  });
});

describe("count_tokens", () => {
  const ask = '{"model":"claude-sonnet-5","messages":[{"role":"user","content":"x"}]}';
  test("is forwarded byte for byte and costs nothing", async () => {
    answer.body = '{"input_tokens": 14}';
    const response = await post(routerOf(WILD), ask, {}, "/v1/messages/count_tokens?beta=true");
    expect(await response.text()).toBe(answer.body);
    expect(seen[0]).toMatchObject({ url: "/v1/messages/count_tokens?beta=true", body: ask });
    expect(records).toMatchObject([{ outcome: "ok", usage: null, costUsd: 0 }]);
  });

  test("is estimated where the upstream does not count", async () => {
    answer = { status: 404, type: "application/json", body: "{}" };
    const response = await post(routerOf(WILD), ask, {}, "/v1/messages/count_tokens");
    expect(response.headers.get("x-token-count")).toBe("estimate");
    expect(((await response.json()) as { input_tokens: number }).input_tokens).toBeGreaterThan(1);
  });
});
