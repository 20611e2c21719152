/**
 * Real clients against the router, over sockets: `@anthropic-ai/sdk` and `openai`, in conversations as people write
 * them, with a scripted OpenAI-compatible server behind.
 */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { UsageRecord } from "./base/usage.ts";
import { parseRouterConfig } from "./config/config.ts";
import { call, calls, chunk } from "./conformance/case.ts";
import { createRouter, type Router } from "./router.ts";
import { nodeDeps } from "./testing/call-upstream.ts";
import type { Step } from "./testing/openai-script.ts";
import { type OpenAiServer, startOpenAiServer } from "./testing/openai-server.ts";
import { serveRouter, type ServedRouter } from "./testing/serve.ts";

const MODEL = "groq/openai/gpt-oss-120b";
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

let upstream: OpenAiServer;
let served: ServedRouter;
let router: Router;
let anthropic: Anthropic;
let openai: OpenAI;
const records: UsageRecord[] = [];

beforeAll(async () => {
  upstream = await startOpenAiServer();
  const { config } = parseRouterConfig(`
model_list:
  - model_name: "groq/*"
    litellm_params: { model: "groq/*", api_base: "${upstream.url}", api_key: sk-groq }
router_settings: { num_retries: 1, cooldown_time: 0 }
`);
  router = createRouter(config, { ...nodeDeps, env: {}, log: () => {}, onUsage: (record) => records.push(record) });
  served = await serveRouter(router);
  anthropic = new Anthropic({ baseURL: served.url, apiKey: "key", maxRetries: 0 });
  openai = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "key", maxRetries: 0 });
});
afterAll(async () => {
  await served.close();
  await upstream.close();
});
beforeEach(() => {
  upstream.reset();
  records.length = 0;
});

function script(...steps: Step[]): string {
  return `Please. <<script${JSON.stringify(steps)}script>>`;
}

describe("@anthropic-ai/sdk", () => {
  const ask = { model: MODEL, max_tokens: 500 };
  const weather: Anthropic.Tool = {
    name: "weather",
    description: "Weather in a city",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  };

  test("a message without a stream", async () => {
    const message = await anthropic.messages.create({
      ...ask,
      messages: [{ role: "user", content: script({ reasoning: "A greeting.", text: "Hello!" }) }],
    });
    expect(message.content.map((block) => block.type)).toEqual(["thinking", "text"]);
    expect(message).toMatchObject({ role: "assistant", model: MODEL, stop_reason: "end_turn" });
    expect(message.usage.input_tokens).toBeGreaterThan(0);
    expect(upstream.requests[0]?.body["model"]).toBe("openai/gpt-oss-120b");
    expect(upstream.requests[0]?.headers["authorization"]).toBe("Bearer sk-groq");
  });

  test("a streamed message is the same message", async () => {
    const content = script({ reasoning: "A greeting.", text: "Hello, Welt 😀!", chunk: 3 });
    const stream = anthropic.messages.stream({ ...ask, messages: [{ role: "user", content }] });
    const texts: string[] = [];
    stream.on("text", (text) => texts.push(text));
    const message = await stream.finalMessage();
    expect(texts.length).toBeGreaterThan(3);
    expect(message.content.at(-1)).toMatchObject({ type: "text", text: "Hello, Welt 😀!" });
    expect(message.usage.output_tokens).toBeGreaterThan(0);
    expect(records).toMatchObject([{ outcome: "ok", estimated: false, model: MODEL }]);
  });

  test.each([false, true])("a conversation with parallel tools (stream: %s)", async (stream) => {
    const prompt = script(
      {
        text: "Let me look.",
        tools: [
          { name: "weather", input: { city: "Ulm" } },
          { name: "weather", input: { city: "Rom" } },
        ],
      },
      { tool: "weather", input: { city: "Köln" } },
      { text: "Mild everywhere." },
    );
    const messages: Anthropic.MessageParam[] = [{ role: "user", content: prompt }];
    const asked: unknown[] = [];
    for (;;) {
      const params = { ...ask, messages, tools: [weather] };
      const message = stream
        ? await anthropic.messages.stream(params).finalMessage()
        : await anthropic.messages.create(params);
      messages.push({ role: "assistant", content: message.content });
      if (message.stop_reason !== "tool_use") {
        expect(message.content).toMatchObject([{ type: "text", text: "Mild everywhere." }]);
        break;
      }
      const results = message.content.flatMap((block): Anthropic.ToolResultBlockParam[] => {
        if (block.type !== "tool_use") return [];
        asked.push(block.input);
        return [{ type: "tool_result", tool_use_id: block.id, content: "18 degrees" }];
      });
      messages.push({ role: "user", content: results });
    }
    expect(asked).toEqual([{ city: "Ulm" }, { city: "Rom" }, { city: "Köln" }]);
    const last = upstream.requests.at(-1)?.body["messages"] as { role: string }[];
    expect(last.map((message) => message.role)).toEqual(["user", "assistant", "tool", "tool", "assistant", "tool"]);
  });

  test("an image reaches the provider, inside a tool result too", async () => {
    const image: Anthropic.ImageBlockParam = {
      type: "image",
      source: { type: "base64", media_type: "image/png", data: PNG },
    };
    await anthropic.messages.create({
      ...ask,
      messages: [
        { role: "user", content: [{ type: "text", text: "What is this?" }, image] },
        { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "look", input: {} }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: [image] }] },
      ],
    });
    const sent = JSON.stringify(upstream.requests[0]?.body["messages"]);
    expect(sent.split(`data:image/png;base64,${PNG}`)).toHaveLength(3);
  });

  test("tokens are counted, models are listed", async () => {
    const counted = await anthropic.messages.countTokens({
      model: MODEL,
      messages: [{ role: "user", content: "Hello there" }],
    });
    expect(counted.input_tokens).toBeGreaterThan(2);
    const models = await anthropic.models.list();
    expect(models.data.length).toBeGreaterThan(0);
  });

  test("errors have the class the client knows", async () => {
    const failing = (fail: NonNullable<Step["fail"]>, stream = false): Promise<unknown> => {
      const messages: Anthropic.MessageParam[] = [{ role: "user", content: script({ fail }) }];
      return stream
        ? anthropic.messages.stream({ ...ask, messages }).finalMessage()
        : anthropic.messages.create({ ...ask, messages });
    };
    await expect(failing({ status: 400, message: "bad" })).rejects.toBeInstanceOf(Anthropic.BadRequestError);
    await expect(failing({ status: 401 })).rejects.toBeInstanceOf(Anthropic.AuthenticationError);
    await expect(failing({ status: 429, retryAfter: 0 }, true)).rejects.toBeInstanceOf(Anthropic.RateLimitError);
    const unknown = anthropic.messages.create({
      ...ask,
      model: "nobody/knows",
      messages: [{ role: "user", content: "Hi" }],
    });
    await expect(unknown).rejects.toBeInstanceOf(Anthropic.NotFoundError);
  });

  test.each([
    ["an error object in the stream", { text: "Half an answer", streamError: "Overheated", chunkMs: 10 }],
    ["a cut socket", { text: "Half an answer", cutAfter: 1, chunk: 5 }],
  ])("a stream that breaks is an error, not a short answer: %s", async (_what, step) => {
    const stream = anthropic.messages.stream({ ...ask, messages: [{ role: "user", content: script(step) }] });
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIError);
    expect(records).toMatchObject([{ outcome: "cut", estimated: true }]);
  });

  test("a single failure is retried before the client notices", async () => {
    const content = script({ fail: { status: 503, times: 1 }, text: "Second try." });
    const message = await anthropic.messages.create({ ...ask, messages: [{ role: "user", content }] });
    expect(message.content).toMatchObject([{ text: "Second try." }]);
    expect(upstream.requests).toHaveLength(2);
  });

  test("leaving in the middle of a stream ends the provider's request", async () => {
    upstream.enqueue({ chunks: [chunk({ content: "One" })], hang: true });
    const stream = anthropic.messages.stream({ ...ask, messages: [{ role: "user", content: "Count" }] });
    stream.on("text", () => stream.abort());
    await expect(stream.finalMessage()).rejects.toBeInstanceOf(Anthropic.APIUserAbortError);
    await upstream.until((requests) => requests[0]?.aborted === true);
    expect(router.inFlight).toBe(0);
  });
});

describe("openai", () => {
  const weather: OpenAI.ChatCompletionFunctionTool = {
    type: "function",
    function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
  };

  test("a completion without a stream", async () => {
    const completion = await openai.chat.completions.create({
      model: MODEL,
      max_tokens: 50,
      stop: "END",
      messages: [
        { role: "system", content: "Be brief." },
        {
          role: "user",
          content: script({ reasoning: "Hm.", text: "Hello!", usage: { prompt_tokens_details: { cached_tokens: 5 } } }),
        },
      ],
    });
    expect(completion.choices[0]).toMatchObject({
      finish_reason: "stop",
      message: { role: "assistant", content: "Hello!" },
    });
    expect(completion.usage?.prompt_tokens_details?.cached_tokens).toBe(5);
    expect(completion.model).toBe(MODEL);
    const sent = upstream.requests[0]?.body;
    expect(sent).toMatchObject({ model: "openai/gpt-oss-120b", max_completion_tokens: 50, stop: ["END"] });
  });

  test("a streamed completion with usage", async () => {
    const stream = openai.chat.completions.stream({
      model: MODEL,
      stream_options: { include_usage: true },
      messages: [{ role: "user", content: script({ text: "Hello, Welt 😀!", chunk: 3 }) }],
    });
    const completion = await stream.finalChatCompletion();
    expect(completion.choices[0]?.message.content).toBe("Hello, Welt 😀!");
    expect(completion.usage?.completion_tokens).toBeGreaterThan(0);
  });

  test.each([false, true])("a conversation with parallel tools (stream: %s)", async (stream) => {
    const prompt = script(
      {
        tools: [
          { name: "weather", input: { city: "Ulm" } },
          { name: "weather", input: { city: "Rom" } },
        ],
      },
      { text: "Mild everywhere." },
    );
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: prompt }];
    const params = { model: MODEL, messages, tools: [weather], parallel_tool_calls: true };
    const first = stream
      ? await openai.chat.completions.stream(params).finalChatCompletion()
      : await openai.chat.completions.create(params);
    const message = first.choices[0]?.message;
    expect(first.choices[0]?.finish_reason).toBe("tool_calls");
    const asked = (message?.tool_calls ?? []).map((made) => (made.type === "function" ? made.function.arguments : ""));
    expect(asked.map((args) => JSON.parse(args) as unknown)).toEqual([{ city: "Ulm" }, { city: "Rom" }]);
    if (message !== undefined) messages.push(message);
    for (const made of message?.tool_calls ?? []) messages.push({ role: "tool", tool_call_id: made.id, content: "18" });
    const second = await openai.chat.completions.create(params);
    expect(second.choices[0]?.message.content).toBe("Mild everywhere.");
    const last = upstream.requests.at(-1)?.body["messages"] as { role: string }[];
    expect(last.map((sent) => sent.role)).toEqual(["user", "assistant", "tool", "tool"]);
  });

  test("an image by data", async () => {
    const url = `data:image/png;base64,${PNG}`;
    await openai.chat.completions.create({
      model: MODEL,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "See" },
            { type: "image_url", image_url: { url } },
          ],
        },
      ],
    });
    expect(JSON.stringify(upstream.requests[0]?.body)).toContain(url);
  });

  test("errors have the class the client knows, and name the field", async () => {
    const create = (fields: object): Promise<unknown> =>
      openai.chat.completions.create({ model: MODEL, messages: [{ role: "user", content: "Hi" }], ...fields });
    await expect(create({ n: 2 })).rejects.toMatchObject({ status: 400, param: "n", type: "invalid_request_error" });
    const audio = [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }];
    await expect(create({ messages: audio })).rejects.toMatchObject({ param: "messages[0].content[0].type" });
    await expect(create({ model: "nobody/knows" })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const limited = [{ role: "user", content: script({ fail: { status: 429, retryAfter: 0 } }) }];
    await expect(create({ messages: limited })).rejects.toBeInstanceOf(OpenAI.RateLimitError);
  });

  test("a stream that breaks is an error, not a short answer", async () => {
    const stream = openai.chat.completions.stream({
      model: MODEL,
      messages: [{ role: "user", content: script({ text: "Half", streamError: "Overheated", chunkMs: 10 }) }],
    });
    await expect(stream.finalChatCompletion()).rejects.toThrow(/Overheated/);
  });

  test("leaving in the middle of a stream ends the provider's request", async () => {
    upstream.enqueue({ chunks: [calls(call(0, { id: "c1", name: "weather", args: '{"ci' }))], hang: true });
    const stream = await openai.chat.completions.create({
      model: MODEL,
      stream: true,
      messages: [{ role: "user", content: "Count" }],
    });
    for await (const piece of stream) if ((piece.choices[0]?.delta.tool_calls?.length ?? 0) > 0) break;
    stream.controller.abort();
    await upstream.until((requests) => requests[0]?.aborted === true);
  });
});
