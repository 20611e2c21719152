/** What a hostile request reaches: one test for each kind of finding. */
import { describe, expect, it } from "vitest";
import { message, rig } from "./testing/scripted-upstream.ts";

const caller = { account: "acct", keyId: "key", sessionId: null };

describe("sec/M8 a model's name has 256 characters", () => {
  const config =
    'model_list: [{model_name: "*", litellm_params: {model: "anthropic/*", api_base: "http://a", api_key: k}}]';
  const ask = (path: string, model: string): Request =>
    new Request(`http://router.test${path}`, {
      method: "POST",
      body: JSON.stringify({ model, max_tokens: 1, messages: [{ role: "user", content: "Hi" }] }),
    });

  it.each([
    ["/v1/messages", "messages"],
    ["/v1/messages/count_tokens", "countTokens"],
    ["/v1/chat/completions", "chatCompletions"],
  ] as const)("%s", async (path, door) => {
    const it = rig(config, { a: [message()] });
    expect((await it.clock.run(it.router[door](ask(path, "m".repeat(256)), caller))).status).toBe(200);
    for (const model of ["m".repeat(257), `demo/${"x".repeat(3_000_000)}`, `claude-3-sonnet-${"x".repeat(300)}`]) {
      const logged = it.logs.length;
      const response = await it.clock.run(it.router[door](ask(path, model), caller));
      const text = await response.text();
      expect([response.status, text.length < 1_000, text.includes("model: at most 256")]).toEqual([400, true, true]);
      expect(JSON.stringify(it.logs.slice(logged)).length).toBeLessThan(1_000);
    }
    expect(it.router.knows("m".repeat(257))).toBe(false);
  });
});
