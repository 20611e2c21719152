/** Cache, usage and prices: what a call costs. `worker/accounts/ledger.test.ts` has the budgets. */
import { describe, expect, test } from "vitest";
import { usageOf } from "../base/usage.ts";
import {
  delta,
  fails,
  hostsConfig,
  message,
  rig,
  START,
  STOP,
  stream,
  unreachable,
} from "../testing/scripted-upstream.ts";
import { costOf, priceOf, PRICES_VERSION } from "./prices.ts";

describe("prices", () => {
  const million = {
    inputTokens: 1e6,
    outputTokens: 1e6,
    cacheReadTokens: 1e6,
    cacheWriteTokens: 2e6,
    cacheWriteHourTokens: 1e6,
  };
  test.each<[provider: string, model: string, configured: object | undefined, cost: number | null]>([
    ["anthropic", "claude-sonnet-5", undefined, 2 + 10 + 0.2 + 2.5 + 4],
    ["anthropic", "claude-sonnet-4-5-20250929", undefined, 3 + 15 + 0.3 + 3.75 + 6],
    ["anthropic", "claude-opus-4-1-20250805", undefined, 15 + 75 + 1.5 + 18.75 + 30],
    ["anthropic", "claude-haiku-5-5", undefined, null],
    ["anthropic", "claude-nobody", undefined, null],
    ["groq", "openai/gpt-oss-120b", undefined, 0.15 + 0.6 + 3 * 0.15],
    ["openrouter", "anthropic/claude-sonnet-5", undefined, null],
    ["demo", "scripted", undefined, 0],
    ["mine", "x", { input: 1e-6, output: 2e-6 }, 1 + 2 + 1 + 2],
    ["mine", "x", { input: 1e-6 }, null],
    ["mine", "x", { input: 0, output: 0 }, 0],
    ["anthropic", "claude-sonnet-5", { output: 1e-6 }, 2 + 1 + 0.2 + 2.5 + 4],
    ["anthropic", "claude-sonnet-5", { input: 1e-6, output: 1e-6, cacheRead: 0 }, 1 + 1 + 0 + 2],
  ])("%s %s %j: %s", (provider, model, configured, cost) => {
    const price = priceOf(provider, model, configured);
    expect(price === null ? null : costOf(million, price)).toBe(cost);
    if (price !== null) expect(price.version).toBe(configured === undefined ? PRICES_VERSION : "config");
  });

  test("the price table's version is a date", () => {
    expect(new Date(PRICES_VERSION).toISOString().slice(0, 10)).toBe(PRICES_VERSION);
  });

  test.each([
    [
      { input_tokens: 5, output_tokens: 2 },
      { inputTokens: 5, outputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 0 },
    ],
    [
      {
        input_tokens: 5,
        output_tokens: 2,
        cache_creation_input_tokens: 7,
        cache_creation: { ephemeral_1h_input_tokens: 3 },
      },
      { inputTokens: 5, outputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 7, cacheWriteHourTokens: 3 },
    ],
    [
      { input_tokens: null, output_tokens: -1 },
      { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 },
    ],
    [{}, undefined],
    [null, undefined],
    ["5", undefined],
  ])("usage %j", (said, usage) => {
    expect(usageOf(said)).toEqual(usage);
  });
});

describe("each call has one record", () => {
  const priced = (hosts: string[], rest = "router_settings: {num_retries: 0}") =>
    `model_list:\n${hosts.map((host) => `  - {model_name: m, litellm_params: {model: anthropic/claude-sonnet-5, api_base: "http://${host}", api_key: k}}`).join("\n")}\n${rest}`;

  test("a complete call", async () => {
    const it = rig(priced(["a"]), { a: [message()] });
    await it.clock.run(it.post());
    expect(it.records).toEqual([
      {
        requestId: "req_1",
        at: "2026-11-21T12:00:00.000Z",
        account: "acct",
        keyId: "key",
        sessionId: null,
        model: "m",
        provider: "anthropic",
        upstreamModel: "claude-sonnet-5",
        deployment: "m#1",
        stream: false,
        outcome: "ok",
        status: 200,
        usage: { inputTokens: 10, outputTokens: 7, cacheReadTokens: 0, cacheWriteTokens: 0 },
        estimated: false,
        costUsd: 0.00009,
        priceVersion: PRICES_VERSION,
        durationMs: 0,
        firstByteMs: 0,
        tries: 1,
      },
    ]);
    expect(JSON.stringify(it.logs)).not.toContain("sk-");
  });

  test("a failed call: its cost is unknown, not zero", async () => {
    const it = rig(priced(["a"]), { a: [unreachable] });
    await it.clock.run(it.post());
    expect(it.records).toMatchObject([{ outcome: "failed", usage: null, costUsd: null, tries: 1 }]);
  });

  test("a cut call: the streamed part is counted", async () => {
    const it = rig(priced(["a"]), { a: [stream(START, delta("x".repeat(4_000)))] });
    const response = await it.clock.run(it.post({ stream: true }));
    await response.text();
    const [record] = it.records;
    expect(record).toMatchObject({ outcome: "cut", estimated: true, usage: { inputTokens: 10 } });
    expect(record?.usage?.outputTokens).toBeGreaterThan(900);
    expect(record?.costUsd).toBeGreaterThan(900 * 10e-6);
  });

  test("a call that was never sent costs nothing", async () => {
    const it = rig("model_list: [{model_name: m, litellm_params: {model: groq/x}}]", {});
    expect((await it.post()).status).toBe(401);
    expect(it.records).toMatchObject([{ outcome: "failed", status: 401, provider: null, costUsd: 0, tries: 0 }]);
  });
});

describe("the cache", () => {
  const cached = hostsConfig(["a"], "litellm_settings: {cache: true, cache_params: {ttl: 60}}");

  test("is off by default", async () => {
    const it = rig(hostsConfig(["a"]), { a: [message()] });
    await it.clock.run(it.post());
    await it.clock.run(it.post());
    expect(it.providers.asked).toHaveLength(2);
  });

  test.each([
    ["an answer without a stream", {}, message("one")],
    ["a stream", { stream: true }, stream(START, delta("one"), STOP)],
  ])("%s is served again for free until it expires", async (_, fields, step) => {
    const it = rig(cached, { a: [step, message("two")] });
    const ask = async (): Promise<[string, string | null]> => {
      const response = await it.clock.run(it.post(fields));
      return [await it.clock.run(response.text()), response.headers.get("x-gantry-cache")];
    };
    const [first, miss] = await ask();
    const [second, hit] = await ask();
    expect(second).toBe(first);
    expect([miss, hit]).toEqual([null, "hit"]);
    expect(it.providers.asked).toHaveLength(1);
    expect(it.records[1]).toMatchObject({ outcome: "cached", costUsd: 0, tries: 0 });
    await it.clock.advance(60_000);
    await it.clock.run(it.post(fields));
    expect(it.providers.asked.length).toBeGreaterThan(1);
  });

  test.each<[name: string, first: object, second: object, same: boolean]>([
    [
      "a different order of keys",
      { messages: [{ role: "user", content: "a" }] },
      { messages: [{ content: "a", role: "user" }] },
      true,
    ],
    ["another metadata", { metadata: { user_id: "a" } }, { metadata: { user_id: "b" } }, true],
    ["another message", {}, { messages: [{ role: "user", content: "b" }] }, false],
    ["another limit", {}, { max_tokens: 5 }, false],
    ["another model", {}, { model: "demo/x" }, false],
    ["with and without a stream", {}, { stream: true }, false],
  ])("%s: the same request? %j", async (_, first, second, same) => {
    const it = rig(cached, { a: [message()] });
    await it.clock.run(it.post(first as Record<string, unknown>));
    const response = await it.clock.run(it.post(second as Record<string, unknown>));
    expect(response.headers.get("x-gantry-cache")).toBe(same ? "hit" : null);
    await response.body?.cancel();
  });

  test("not shared between accounts or betas, and not used when a fresh answer is requested", async () => {
    const it = rig(cached, { a: [message()] });
    await it.clock.run(it.post());
    await it.clock.run(it.post({}, { account: "other" }));
    await it.clock.run(it.post({}, { headers: { "anthropic-beta": "x" } }));
    await it.clock.run(it.post({}, { headers: { "cache-control": "no-cache" } }));
    expect(it.providers.asked).toHaveLength(4);
  });

  test("failures and broken streams are not kept; a route may have its own expiry", async () => {
    const it = rig(hostsConfig(["a"], "", { a: ", cache_ttl: 5" }), {
      a: [fails(400, "invalid_request_error"), stream(START, delta("x")), stream(START, STOP)],
    });
    const ask = async (): Promise<string> => (await it.clock.run(it.post({ stream: true }))).text();
    await ask();
    expect(await ask()).toContain("event: error");
    expect(await ask()).toBe(START + STOP);
    expect(await ask()).toBe(START + STOP);
    expect(it.providers.asked).toHaveLength(3);
  });
});
