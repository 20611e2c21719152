import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { startOpenAiServer } from "@gantry/router/testing/openai-server.ts";
import type { OpenAiServer } from "@gantry/router/testing/openai-server.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, script } from "../kit/gantry.ts";

/** The real engine on a model that is not Anthropic's: its calls are translated on the way. */

const MODEL = "groq/openai/gpt-oss-120b";
let upstream: OpenAiServer;
let gantry: Gantry;
let folder: string;

beforeAll(async () => {
  upstream = await startOpenAiServer();
  folder = mkdtempSync(join(tmpdir(), "gantry-openai-"));
  const config = join(folder, "routes.yaml");
  writeFileSync(
    config,
    `model_list:\n  - model_name: groq/*\n    litellm_params:\n      model: groq/*\n      api_base: ${upstream.url}\n      api_key: os.environ/GROQ_API_KEY\n    model_info:\n      max_input_tokens: 131072\n`,
  );
  gantry = await Gantry.start({
    LITELLM_CONFIG: config,
    GROQ_API_KEY: "gsk-e2e-secret",
    MODEL,
    GANTRY_PERMISSION_MODE: "bypassPermissions",
  });
});
afterAll(async () => {
  await gantry.remove();
  await upstream.close();
  rmSync(folder, { recursive: true });
});

const bash = (command: string): Record<string, unknown> => ({ name: "Bash", input: { command } });

describe("the real engine over an OpenAI-compatible provider", () => {
  it("completes a run of several tools, in parallel too, under the provider's own model name", async () => {
    const { lines, last } = await gantry.run({
      prompt: script(
        {
          reasoning: "I should look first.",
          text: "Looking.",
          tools: [bash("echo one > a.txt; cat a.txt"), bash("echo two")],
        },
        { tool: "Write", input: { file_path: "b.txt", content: "three" } },
        { text: "All done." },
      ),
      maxTurns: 10,
    });
    expect(last).toMatchObject({ type: "result", result: "All done." });
    const results = lines.filter((line) => line.type === "tool_result");
    expect(results.map((line) => [line["tool"], line["isError"]])).toEqual([
      ["Bash", false],
      ["Bash", false],
      ["Write", false],
    ]);
    expect(results.slice(0, 2).map((line) => line["result"])).toEqual(["one", "two"]);
    expect(upstream.requests.length).toBe(3);
    for (const { body, headers } of upstream.requests) {
      expect(body["model"]).toBe("openai/gpt-oss-120b");
      expect(headers.authorization).toBe("Bearer gsk-e2e-secret");
    }
    expect(JSON.stringify(lines)).not.toContain("gsk-e2e-secret");
  });

  it("says what was used, as the provider counted it", async () => {
    const { last } = await gantry.run({
      prompt: script({ text: "hi", usage: { prompt_tokens: 4321, completion_tokens: 7 } }),
    });
    expect(last["usage"]).toMatchObject({ input_tokens: 4321, output_tokens: 7 });
  });

  it("compacts the conversation when the model's window is nearly full, and goes on", async () => {
    const { sessionId } = await gantry.run({
      prompt: script({ text: "long", usage: { prompt_tokens: 125_000, completion_tokens: 10 } }),
    });
    const { last } = await gantry.run({ prompt: script({ text: "still here" }), sessionId });
    expect(last).toMatchObject({ type: "result", result: "still here" });
    expect((await gantry.log(sessionId)).some((event) => event.type === "agent.thread_context_compacted")).toBe(true);
  });

  it.each([
    ["a refusal to pay", { fail: { status: 402 } }, 402],
    ["a limit", { fail: { status: 429 } }, 429],
    ["a wrong key", { fail: { status: 401 } }, 401],
  ])("tells %s with the provider's status", async (_name, step, upstreamStatus) => {
    const response = await gantry.post("/claude-code", { prompt: `${Math.random()} ${script(step)}`, stream: false });
    expect([response.status, await response.json()]).toMatchObject([502, { error: "upstream_error", upstreamStatus }]);
  });
});

describe("OpenAI's own client", () => {
  it("speaks to any route through /v1/chat/completions", async () => {
    const client = new OpenAI({ baseURL: `${gantry.url}/v1`, apiKey: gantry.key, maxRetries: 0 });
    for (const model of [MODEL, "demo/scripted"]) {
      const messages = [{ role: "user" as const, content: script({ text: "the answer" }) }];
      const whole = await client.chat.completions.create({ model, messages });
      expect(whole.choices[0]?.message.content).toBe("the answer");
      let text = "";
      for await (const chunk of await client.chat.completions.create({ model, messages, stream: true }))
        text += chunk.choices[0]?.delta.content ?? "";
      expect(text).toBe("the answer");
    }
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    expect(names.length).toBeGreaterThan(0);
    await expect(
      client.chat.completions.create({ model: "nobody/knows", messages: [{ role: "user", content: "x" }] }),
    ).rejects.toMatchObject({ status: 404 });
  });
});
