/** Chat completions: the translation of a request, and of a Messages answer on the way back. */
import { describe, expect, test } from "vitest";
import { readMessage } from "../testing/read-message.ts";
import { messagesResponseToChat } from "./answer.ts";
import { chatRequestToMessages } from "./request.ts";

const hi = [{ role: "user", content: "Hi" }];
const fn = { type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } };
const PDF = "data:application/pdf;base64,JVBERi0=";

const requests: readonly [what: string, request: object, body: object][] = [
  [
    "a prompt",
    {},
    { model: "m", max_tokens: 16_384, messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }] },
  ],
  ["either token field", { max_tokens: 5, max_completion_tokens: 6 }, { max_tokens: 6 }],
  ["temperature on Anthropic's scale", { temperature: 1.7, top_p: 0.5 }, { temperature: 1, top_p: 0.5 }],
  ["stop as a string", { stop: "END" }, { stop_sequences: ["END"] }],
  [
    "tools and their choice",
    { tools: [fn], tool_choice: "required" },
    {
      tools: [{ name: "f", description: "d", input_schema: { type: "object" } }],
      tool_choice: { type: "any" },
    },
  ],
  [
    "one call at a time",
    { tools: [fn], parallel_tool_calls: false },
    { tool_choice: { type: "auto", disable_parallel_tool_use: true } },
  ],
  [
    "a named tool",
    { tools: [fn], tool_choice: { type: "function", function: { name: "f" } } },
    { tool_choice: { type: "tool", name: "f" } },
  ],
  ["effort", { reasoning_effort: "minimal" }, { thinking: { type: "adaptive" }, output_config: { effort: "low" } }],
  ["no thinking", { reasoning_effort: "none" }, { thinking: { type: "disabled" } }],
  [
    "a schema",
    { response_format: { type: "json_schema", json_schema: { name: "a", schema: { type: "object" } } } },
    {
      output_config: { format: { type: "json_schema", schema: { type: "object" } } },
    },
  ],
  [
    "system and developer messages, wherever they are",
    { messages: [{ role: "system", content: "A" }, ...hi, { role: "developer", content: "B" }] },
    {
      system: [
        { type: "text", text: "A" },
        { type: "text", text: "B" },
      ],
    },
  ],
  [
    "parts",
    {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "See" },
            { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
            { type: "image_url", image_url: { url: "https://x.test/i.png" } },
            { type: "file", file: { filename: "a.pdf", file_data: PDF } },
          ],
        },
      ],
    },
    {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "See" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
            { type: "image", source: { type: "url", url: "https://x.test/i.png" } },
            {
              type: "document",
              title: "a.pdf",
              source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" },
            },
          ],
        },
      ],
    },
  ],
  [
    "calls and results: parallel results share one turn with what follows",
    {
      messages: [
        ...hi,
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
            { id: "c2", type: "function", function: { name: "f", arguments: "" } },
          ],
        },
        { role: "tool", tool_call_id: "c1", content: "one" },
        { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "two" }] },
        { role: "user", content: "On" },
      ],
    },
    {
      messages: [
        { role: "user", content: [{ type: "text", text: "Hi" }] },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "c1", name: "f", input: { a: 1 } },
            { type: "tool_use", id: "c2", name: "f", input: {} },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "c1", content: [{ type: "text", text: "one" }] },
            { type: "tool_result", tool_use_id: "c2", content: [{ type: "text", text: "two" }] },
            { type: "text", text: "On" },
          ],
        },
      ],
    },
  ],
  [
    "signed reasoning, in the pieces a stream gave it in",
    {
      messages: [
        ...hi,
        {
          role: "assistant",
          content: "Yo",
          reasoning_content: "unsigned is dropped",
          reasoning_details: [
            { type: "reasoning.text", text: "H", index: 0 },
            { type: "reasoning.text", text: "m", index: 0 },
            { type: "reasoning.text", signature: "s", index: 0 },
          ],
        },
      ],
    },
    {
      messages: [
        { role: "user", content: [{ type: "text", text: "Hi" }] },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "Hm", signature: "s" },
            { type: "text", text: "Yo" },
          ],
        },
      ],
    },
  ],
];

const refusals: readonly [param: string, request: object][] = [
  ["model", { model: "" }],
  ["messages", { messages: [] }],
  ["messages[0].role", { messages: [{ role: "robot", content: "x" }] }],
  [
    "messages[0].content[1].type",
    { messages: [{ role: "user", content: [{ type: "text", text: "a" }, { type: "input_audio" }] }] },
  ],
  [
    "messages[0].content[0].image_url.url",
    { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:x" } }] }] },
  ],
  ["messages[0].tool_call_id", { messages: [{ role: "tool", content: "x" }] }],
  ["messages[0].tool_calls[0].id", { messages: [{ role: "assistant", tool_calls: [{ function: { name: "f" } }] }] }],
  ["tools[0]", { tools: [{ type: "custom", custom: { name: "x" } }] }],
  ["tool_choice", { tools: [fn], tool_choice: { type: "allowed_tools" } }],
  ["n", { n: 3 }],
  ["logprobs", { logprobs: true }],
  ["functions", { functions: [{ name: "f" }] }],
  ["modalities", { modalities: ["text", "audio"] }],
  ["max_tokens", { max_tokens: "many" }],
  ["response_format.json_schema.schema", { response_format: { type: "json_schema" } }],
];

describe("a chat request as a Messages body", () => {
  test.each(requests)("%s", (_what, request, body) => {
    const result = chatRequestToMessages({ model: "m", messages: hi, ...request });
    expect(result.ok && result.body).toMatchObject(body);
  });

  test.each(refusals)("refuses %s by name", (param, request) => {
    const result = chatRequestToMessages({ model: "m", messages: hi, ...request });
    expect(result.ok ? undefined : result.failure).toMatchObject({ status: 400, param });
  });
});

const info = { id: "chatcmpl-1", model: "m", created: 1, stream: true, includeUsage: true };

function events(...list: { type: string; [field: string]: unknown }[]): Response {
  const text = list.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  return new Response(text, { headers: { "content-type": "text/event-stream" } });
}

const start = {
  type: "message_start",
  message: { content: [], usage: { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 5 } },
};
const delta = (index: number, fields: object): { type: string } =>
  ({ type: "content_block_delta", index, delta: fields }) as never;

describe("a Messages answer as a chat completion", () => {
  test("a stream: thinking, text, parallel calls, usage", async () => {
    const source = events(
      start,
      { type: "ping" },
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } },
      delta(0, { type: "thinking_delta", thinking: "Hm" }),
      delta(0, { type: "signature_delta", signature: "s" }),
      { type: "content_block_stop", index: 0 },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      delta(1, { type: "text_delta", text: "Hi" }),
      delta(1, { type: "text_delta", text: "" }),
      { type: "content_block_stop", index: 1 },
      { type: "content_block_start", index: 2, content_block: { type: "tool_use", id: "t1", name: "f", input: {} } },
      delta(2, { type: "input_json_delta", partial_json: '{"a"' }),
      delta(2, { type: "input_json_delta", partial_json: ":1}" }),
      { type: "content_block_stop", index: 2 },
      { type: "content_block_start", index: 3, content_block: { type: "tool_use", id: "t2", name: "g", input: {} } },
      { type: "content_block_stop", index: 3 },
      { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 7 } },
      { type: "message_stop" },
    );
    readMessage(await source.clone().text()); // the stream itself is in order
    const text = await (await messagesResponseToChat(source, info)).text();
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    const chunks = text.split("\n\n").flatMap((frame) =>
      frame.startsWith("data: {")
        ? [
            JSON.parse(frame.slice(6)) as {
              choices: { delta: object; finish_reason: string | null }[];
              usage: unknown;
            },
          ]
        : [],
    );
    expect(chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta))).toEqual([
      { role: "assistant", content: "" },
      { reasoning_content: "Hm", reasoning_details: [{ type: "reasoning.text", text: "Hm", index: 0 }] },
      { reasoning_details: [{ type: "reasoning.text", signature: "s", index: 0 }] },
      { content: "Hi" },
      { tool_calls: [{ index: 0, id: "t1", type: "function", function: { name: "f", arguments: "" } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] },
      { tool_calls: [{ index: 0, function: { arguments: ":1}" } }] },
      { tool_calls: [{ index: 1, id: "t2", type: "function", function: { name: "g", arguments: "" } }] },
      {},
    ]);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("tool_calls");
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 15, completion_tokens: 7, total_tokens: 22 },
    });
  });

  test.each([
    [
      "an error event",
      events(start, { type: "error", error: { type: "overloaded_error", message: "Too busy" } }),
      "Too busy",
    ],
    ["a stream without an end", events(start), "cut short"],
  ])("%s is an error chunk, and no [DONE] follows", async (_what, source, message) => {
    const text = await (await messagesResponseToChat(source, info)).text();
    expect(text).toContain(`"error":{"message":"`);
    expect(text).toContain(message);
    expect(text).not.toContain("[DONE]");
  });

  test.each([
    ["end_turn", "stop"],
    ["max_tokens", "length"],
    ["tool_use", "tool_calls"],
    ["stop_sequence", "stop"],
    ["refusal", "content_filter"],
    ["model_context_window_exceeded", "length"],
  ])("stop_reason %s is finish_reason %s", async (stop, finish) => {
    const source = Response.json({ content: [{ type: "text", text: "Hi" }], stop_reason: stop, usage: {} });
    const completion = (await (await messagesResponseToChat(source, info)).json()) as { choices: object[] };
    expect(completion.choices[0]).toMatchObject({ finish_reason: finish, message: { content: "Hi" } });
  });

  test("a failure keeps its status and retry-after, in OpenAI's shape", async () => {
    const body = { type: "error", error: { type: "rate_limit_error", message: "Slow down" } };
    const source = Response.json(body, { status: 429, headers: { "retry-after": "7" } });
    const answer = await messagesResponseToChat(source, info);
    expect(answer.status).toBe(429);
    expect(answer.headers.get("retry-after")).toBe("7");
    expect(await answer.json()).toEqual({
      error: { message: "Slow down", type: "rate_limit_error", param: null, code: null },
    });
  });
});
