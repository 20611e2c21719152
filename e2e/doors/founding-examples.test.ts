import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Gantry, script, until } from "../kit/gantry.ts";

/**
 * Every example in the HTTP and WebSocket pages of the five founding documents, request for request. Their model names are
 * routes here, and the scripted model answers for them.
 *
 * | document | example | test |
 * |---|---|---|
 * | 0 | Client Request; API reference: request, non-streaming and streaming response, error | here |
 * | 0 | Manual Container Testing, Debug Endpoints, environment variables | `container.test.ts` |
 * | 0 | `./test-claude-code.sh` | `prompt-doors.test.ts` |
 * | 1 | WebSocket: connection, inbound and outbound messages, call stack 1 | here; reconnect and reload: `prompt-doors.test.ts` |
 * | 1 | `POST /agent/message`, `POST /claude-code` with all options, model names by prefix, session id in the address | here |
 * | 1 | claude-server's `POST /` with the bridge's options, `GET /`, `GET /debug` | `container.test.ts` |
 * | 1 | `curl .../claude-code/debug` | here |
 * | 2 | `curl /query`, the expected response, "Unauthorized", same and different `accountId` | here; order: `prompt-doors.test.ts` |
 * | 2 | `./test.sh PORT` | `prompt-doors.test.ts` |
 */

let gantry: Gantry;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gantry-founding-"));
  const routes = ["openrouter/*", "groq/*", "anthropic/*"]
    .map((name) => `  - model_name: ${name}\n    litellm_params:\n      model: demo/*\n`)
    .join("");
  writeFileSync(
    join(folder, "routes.yaml"),
    `model_list:\n${routes}router_settings:\n  routing_strategy: least-busy\n  enable_loadbalancing: true\n  retry_policy:\n    max_retries: 3\n    timeout: 30\n    exponential_backoff: true\n`,
  );
  gantry = await Gantry.start({
    LITELLM_CONFIG: join(folder, "routes.yaml"),
    GANTRY_PERMISSION_MODE: "bypassPermissions",
    GANTRY_API_KEY: "your-secret-key-here",
  });
});
afterAll(async () => {
  await gantry.remove();
  rmSync(folder, { recursive: true });
});

interface Message extends Record<string, unknown> {
  readonly type: string;
  readonly content: string;
  readonly timestamp: number;
}

/** Says one thing in a session by WebSocket and returns what comes back until it is done. */
async function converse(
  name: string,
  message: Record<string, unknown>,
  isOver: (m: Message) => boolean,
): Promise<Message[]> {
  const ws = new WebSocket(`${gantry.url.replace("http", "ws")}/demo/ws/${name}`, {
    headers: { authorization: `Bearer ${gantry.key}` },
  });
  const heard: Message[] = [];
  ws.on("message", (data: Buffer) => heard.push(JSON.parse(data.toString()) as Message));
  await until(() => ws.readyState === WebSocket.OPEN, "the socket to open");
  ws.send(JSON.stringify(message));
  await until(() => heard.some(isOver), "the end");
  ws.close();
  return heard;
}
const isDone = (m: Message): boolean => m.type === "status" && m.content === "idle";

describe("founding document 0", () => {
  it("Client Request: POST /claude-code, not streaming", async () => {
    const response = await gantry.post("/claude-code", {
      prompt: "What is 7 * 6?",
      model: "openrouter/qwen/qwen3-coder",
      stream: false,
      maxTurns: 3,
    });
    const body = (await response.json()) as Record<string, unknown>;
    expect([response.status, body]).toMatchObject([
      200,
      { type: "result", result: expect.stringContaining("42"), sessionId: expect.any(String) },
    ]);
    expect(body).not.toHaveProperty("messages");
  });

  it("API Reference: non-streaming response with messages if verbose", async () => {
    const response = await gantry.post("/claude-code", {
      prompt: "What is 7 * 6?",
      stream: false,
      verbose: true,
      additionalArgs: [],
    });
    expect(await response.json()).toMatchObject({
      type: "result",
      messages: expect.any(Array),
      sessionId: expect.any(String),
    });
  });

  it("API Reference: streaming response is the default, text/plain, a JSON object a line", async () => {
    const prompt = script(
      { text: "I look.", tool: "Bash", input: { command: "echo hello" } },
      { text: "Final answer" },
    );
    const response = await gantry.post("/claude-code", { prompt });
    expect(response.headers.get("content-type")).toContain("text/plain");
    const lines = (await response.text())
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find((line) => line["type"] === "assistant")).toMatchObject({ content: expect.any(String) });
    expect(lines.find((line) => line["type"] === "tool_call")).toMatchObject({
      tool: "Bash",
      input: { command: "echo hello" },
    });
    expect(lines.find((line) => line["type"] === "tool_result")).toMatchObject({
      tool: "Bash",
      result: expect.stringContaining("hello"),
    });
    expect(lines.at(-1)).toMatchObject({ type: "result", result: "Final answer" });
  });

  it.each([
    ["no prompt", {}, 400],
    ["a wrong type", { prompt: "x", maxTurns: "three" }, 400],
    ["a model that fails", { prompt: script({ fail: { status: 400 } }), stream: false }, 502],
  ])("API Reference: error response, %s", async (_name, body, status) => {
    const response = await gantry.post("/claude-code", body);
    const error = (await response.json()) as { details?: string };
    expect([response.status, error]).toMatchObject([
      status,
      { type: "error", error: expect.any(String), message: expect.any(String) },
    ]);
    expect(JSON.stringify(error)).not.toMatch(/\bat .+:\d+:\d+/);
  });

  it("Session isolation: a new session id for each request", async () => {
    const ids = [];
    for (let i = 0; i < 2; i++) ids.push((await gantry.run({ prompt: "What is 1 + 1?" })).sessionId);
    expect(ids[0]).not.toBe(ids[1]);
  });
});

describe("founding document 1", () => {
  it("User Request Initiation: ws.send a user_message with a model", async () => {
    const heard = await converse(
      "demo-abc123",
      {
        type: "user_message",
        content: "Create a hello world app",
        model: "groq/openai/gpt-oss-120b",
        timestamp: Date.now(),
      },
      isDone,
    );
    for (const message of heard)
      expect(message).toMatchObject({
        type: expect.any(String),
        content: expect.any(String),
        timestamp: expect.any(Number),
      });
    expect(heard.find((m) => m.content === "running")).toMatchObject({ data: { model: "groq/openai/gpt-oss-120b" } });
    expect(heard.map((m) => m.type)).toEqual(expect.arrayContaining(["result", "tool_use", "file_change", "status"]));
  });

  it("WebSocket API: the inbound message and each outbound one", async () => {
    const component = script(
      {
        text: "I'll help you create a React component...",
        tool: "Write",
        input: { file_path: "src/MyComponent.jsx", content: "export {}" },
      },
      { text: "Done." },
    );
    const heard = await converse(
      "session123",
      {
        type: "user_message",
        content: `Create a React component ${component}`,
        model: "groq/openai/gpt-oss-120b",
        timestamp: 1703123456789,
      },
      isDone,
    );
    expect(heard.find((m) => m.type === "result")?.content).toContain("I'll help you create a React component...");
    expect(heard.find((m) => m.type === "tool_use")?.content).toContain("src/MyComponent.jsx");
    expect(heard.find((m) => m.type === "file_change")?.content).toContain("src/MyComponent.jsx");
    const failed = await converse(
      "session124",
      { type: "user_message", content: script({ fail: { status: 400 } }) },
      (m) => m.type === "error",
    );
    expect(failed.find((m) => m.type === "error")).toMatchObject({
      content: expect.any(String),
      timestamp: expect.any(Number),
    });
  });

  it("Troubleshooting: a session id is required in the address", async () => {
    expect((await gantry.fetch("/demo/ws/")).status).toBe(404);
  });

  it("REST API: POST /agent/message", async () => {
    const response = await gantry.post("/agent/message", { message: "Create a hello world app" });
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { status: "Message processed", timestamp: expect.any(Number) },
    ]);
  });

  it.each([true, false])("Legacy endpoint: POST /claude-code with all options, stream %s", async (stream) => {
    const response = await gantry.post("/claude-code", {
      prompt: "Create a hello world app",
      model: "groq/openai/gpt-oss-120b",
      stream,
      verbose: false,
      maxTurns: 10,
      permissionMode: "acceptEdits",
      sessionId: "session_1234567890",
    });
    expect(response.status).toBe(200);
    const last = (await response.text()).split("\n").filter(Boolean).at(-1) ?? "";
    expect(JSON.parse(last)).toMatchObject({
      type: "result",
      result: expect.any(String),
      sessionId: expect.any(String),
      requestId: expect.any(String),
    });
  });

  it("Session management: the same session id goes on, over WebSocket and HTTP", async () => {
    await gantry.post("/claude-code", {
      prompt: "Remember that the code is 4711",
      stream: false,
      sessionId: "one-name",
    });
    const { text } = await gantry.run({ prompt: "What did I say before?", sessionId: "one-name" });
    expect(text).toContain("4711");
    const heard = await converse(
      "one-name",
      { type: "user_message", content: "What did I say before?" },
      (m) => m.type === "result" && m.content.includes("4711"),
    );
    expect(heard.length).toBeGreaterThan(0);
  });

  it.each(["groq/openai/gpt-oss-120b", "openrouter/z-ai/glm-4.5", "anthropic/claude-3-sonnet"])(
    "Model routing rules and available models: %s",
    async (model) => {
      const response = await gantry.post("/claude-code", { prompt: "What is 2 + 3?", model, stream: false });
      expect(await response.json()).toMatchObject({ type: "result", result: expect.stringContaining("5") });
    },
  );

  it("Debug Commands: curl /claude-code/debug", async () => {
    const text = await (await gantry.fetch("/claude-code/debug")).text();
    expect(JSON.parse(text)).toMatchObject({ model: expect.any(String) });
    expect(text).not.toContain(gantry.key);
  });
});

describe("founding document 2", () => {
  it("Quickstart: curl -X POST /query", async () => {
    const response = await gantry.fetch("/query", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: "What is 2+2?" }),
    });
    const body = (await response.json()) as { success: boolean; response: string };
    expect([response.status, Object.keys(body)]).toEqual([200, ["success", "response"]]);
    expect(body).toMatchObject({ success: true, response: expect.stringContaining("4") });
  });

  it.each([
    ["no header", {}],
    ["a wrong key", { authorization: "Bearer wrong" }],
  ])("Troubleshooting: Unauthorized with %s", async (_name, headers) => {
    const response = await fetch(`${gantry.url}/query`, {
      method: "POST",
      headers: headers as Record<string, string>,
      body: '{"query":"x"}',
    });
    expect([response.status, response.statusText]).toEqual([401, "Unauthorized"]);
    expect(await response.json()).toMatchObject({ success: false, error: "Unauthorized" });
  });

  it("How it works: the same accountId goes on, another is apart", async () => {
    await gantry.post("/query", { query: "Remember that the word is pixel", accountId: "a" });
    const ask = async (accountId: string): Promise<string> =>
      (
        (await (await gantry.post("/query", { query: "What did I say before?", accountId })).json()) as {
          response: string;
        }
      ).response;
    expect(await ask("a")).toContain("pixel");
    expect(await ask("b")).not.toContain("pixel");
  });
});
