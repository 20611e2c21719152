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

describe("sec/M6 a session's engine cannot make a provider reach out", () => {
  const config =
    'model_list: [{model_name: "*", litellm_params: {model: "anthropic/*", api_base: "http://a", api_key: k}}]';
  const ask = async (
    fields: object,
    {
      headers = {},
      search = "",
      sessionId = "sesn_1",
    }: { headers?: Record<string, string>; search?: string; sessionId?: string | null } = {},
  ) => {
    const it = rig(config, { a: [message()] });
    const body = JSON.stringify({
      model: "up",
      max_tokens: 10,
      messages: [{ role: "user", content: "Hi" }],
      ...fields,
    });
    const request = new Request(`http://router.test/v1/messages${search}`, { method: "POST", body, headers });
    const response = await it.clock.run(it.router.messages(request, { ...caller, keyId: null, sessionId }));
    return { status: response.status, text: await response.text(), body, sent: it.providers.asked[0] };
  };
  const says = (...content: object[]): object => ({ messages: [{ role: "user", content }] });

  it("fields that are not listed are left out", async () => {
    const acting = {
      mcp_servers: [{ type: "url", url: "https://evil" }],
      container: "c",
      fallbacks: [{ model: "x" }],
      new: 1,
    };
    const { status, sent } = await ask({ ...acting, temperature: 0.5 });
    expect(status).toBe(200);
    expect(Object.keys(JSON.parse(sent?.body ?? "") as object)).toEqual([
      "model",
      "max_tokens",
      "messages",
      "temperature",
    ]);
    const direct = await ask(acting, { sessionId: null });
    expect(direct.sent?.body).toBe(direct.body);
  });

  it("betas, headers and the query are limited", async () => {
    const headers = {
      "anthropic-beta":
        "interleaved-thinking-2025-05-14, mcp-client-2025-11-20,files-api-2025-04-14,claude-code-20250219",
      "anthropic-version": "2023-06-01",
      "anthropic-workspace-id": "w",
    };
    const { sent } = await ask({}, { headers, search: "?beta=true&evil=1" });
    expect(sent?.headers.get("anthropic-beta")).toBe("interleaved-thinking-2025-05-14,claude-code-20250219");
    expect(sent?.headers.get("anthropic-workspace-id")).toBeNull();
    expect(sent?.url).toBe("http://a/v1/messages?beta=true");
    const none = await ask({}, { headers: { "anthropic-beta": "files-api-2025-04-14" }, search: "?data=secret" });
    expect([none.sent?.headers.get("anthropic-beta"), none.sent?.url]).toEqual([null, "http://a/v1/messages"]);
  });

  it.each<[field: string, fields: object]>([
    [
      "tools.1.type",
      {
        tools: [
          { name: "mine", input_schema: {} },
          { type: "web_fetch_20250910", name: "web_fetch" },
        ],
      },
    ],
    ["tools.0.type", { tools: [{ type: "code_execution_20250825", name: "code_execution" }] }],
    ["tools.0.type", { tools: [{ type: "mcp_toolset", mcp_server_name: "x" }] }],
    ["tools.0.type", { tools: [{ type: ["web_fetch_20250910"], name: "web_fetch" }] }],
    ["messages.0.content.0", says({ type: "container_upload", file_id: "file_1" })],
    ["messages.0.content.0", says({ type: "document", source: { type: "file", file_id: "file_1" } })],
    [
      "messages.0.content.0.content.0",
      says({
        type: "tool_result",
        tool_use_id: "t",
        content: [{ type: "image", source: { type: "file", file_id: "f" } }],
      }),
    ],
  ])("%s is refused in %j", async (field, fields) => {
    const { status, text, sent } = await ask(fields);
    expect([status, sent]).toEqual([400, undefined]);
    expect(text).toContain(`${field}: `);
    expect((await ask(fields, { sessionId: null })).status).toBe(200);
  });

  it("is not fooled by escapes", async () => {
    const it = rig(config, { a: [message()] });
    for (const part of [
      String.raw`"tools":[{"t\u0079pe":"web\u005ffetch_20250910","name":"x"}],"messages":[{"role":"user","content":"Hi"}]`,
      String.raw`"messages":[{"role":"user","content":[{"type":"document","source":{"type":"\u0066ile","f\u0069le_id":"x"}}]}]`,
    ]) {
      const request = new Request("http://router.test/v1/messages", {
        method: "POST",
        body: `{"model":"up","max_tokens":10,${part}}`,
      });
      const response = await it.clock.run(it.router.messages(request, { ...caller, sessionId: "sesn_1" }));
      expect(response.status).toBe(400);
    }
    expect(it.providers.asked).toEqual([]);
  });

  it("what an engine sends goes out byte for byte", async () => {
    const { sent, body } = await ask({
      system: [{ type: "text", text: "a container_upload and a file_id", cache_control: { type: "ephemeral" } }],
      tools: [
        { name: "Bash", description: "x", input_schema: { type: "object" } },
        { type: "custom", name: "mine", input_schema: {} },
        { type: "web_search_20250305", name: "web_search", max_uses: 8 },
        { type: "advisor_20260301", name: "advisor", model: "claude-opus-5" },
      ],
      messages: [
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "x", input: { source: { type: "file" } } }] },
      ],
      thinking: { type: "adaptive" },
      context_management: { edits: [] },
      metadata: { user_id: "u" },
    });
    expect(sent?.body).toBe(body);
  });
});
