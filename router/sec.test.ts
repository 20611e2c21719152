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

describe("sec/low-7 a member that occurs twice reaches the provider once, as it was priced", () => {
  const rest = '"messages":[{"role":"user","content":"Hi"}]';
  it.each([
    ["max_tokens", `{"model":"up","max_tokens":1000000,"max_tokens":10,${rest}}`],
    ["the model", `{"model":"dear","model":"up","max_tokens":10,${rest}}`],
    ["a name with an escape", String.raw`{"model":"up","max\u005ftokens":1000000,"max_tokens":10,` + `${rest}}`],
    ["the tier", `{"model":"up","speed":"fast","speed":"standard","max_tokens":10,${rest}}`],
  ])("%s", async (_, body) => {
    const it = rig(
      'model_list: [{model_name: "*", litellm_params: {model: "anthropic/*", api_base: "http://a", api_key: k}}]',
      { a: [message()] },
    );
    const request = new Request("http://router.test/v1/messages", { method: "POST", body });
    expect((await it.clock.run(it.router.messages(request, caller))).status).toBe(200);
    const sent = it.providers.asked[0]?.body ?? "";
    for (const name of ["model", "max_tokens", "speed", "max\\u005ftokens"])
      expect(sent.split(`"${name}":`).length - 1).toBeLessThan(2);
    expect(JSON.parse(sent)).toMatchObject({ model: "up", max_tokens: 10 });
    expect(sent).not.toMatch(/1000000|dear|fast|u005f/);
  });
});
