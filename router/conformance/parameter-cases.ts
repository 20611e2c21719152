/** Cases 35 to 40 and related ones: parameters, tools, counting, and stop reasons. */
import { assert } from "../testing/expect.ts";
import { assistant, READ_TOOL, result, type Row, STREAM, text, toolUse, user } from "./case.ts";
import { answer, blocks, call, calls, end, stream } from "./case.ts";

const PNG = "iVBORw0KGgo=";
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
const LONG_NAME = `mcp__a-server-with-a-long-name__${"and_a_tool_with_one_".repeat(3)}`;

export const parameterRows: Row[] = [
  {
    id: "35",
    title: "stop_sequences become stop; what only Anthropic knows is left out",
    ask: {
      stop_sequences: ["END", ""],
      top_k: 5,
      temperature: 0.5,
      thinking: { type: "adaptive", display: "summarized" },
      context_management: { edits: [] },
      metadata: { user_id: "u" },
      service_tier: "auto",
      mcp_servers: [],
      container: null,
      betas: ["x"],
    },
    expect: (seen) => {
      assert.deepEqual(Object.keys(seen.sent).toSorted(), ["max_tokens", "messages", "model", "stop", "temperature"]);
      assert.deepEqual(seen.sent.stop, ["END"]);
    },
  },
  ...(
    [
      ["openai", "gpt-5.2", { reasoning_effort: "none" }],
      ["openai", "o4-mini", { reasoning_effort: "low" }],
      ["groq", "openai/gpt-oss-120b", { reasoning_effort: "low" }],
      ["openrouter", "z-ai/glm-5", { reasoning: { effort: "none" } }],
      ["deepseek", "deepseek-v4", { thinking: { type: "disabled" } }],
    ] as const
  ).map(([provider, model, fields]): Row => ({
    id: "35",
    title: `thinking disabled in the words of ${provider} (${model})`,
    provider,
    model,
    ask: { thinking: { type: "disabled" } },
    expect: (seen) => {
      for (const [key, value] of Object.entries(fields)) assert.deepEqual(seen.sent[key], value);
    },
  })),
  {
    id: "35",
    title: "output_config.effort becomes reasoning_effort; an output schema becomes response_format",
    provider: "openai",
    model: "gpt-5.2",
    ask: {
      output_config: { effort: "high", format: { type: "json_schema", schema: { type: "object", properties: {} } } },
    },
    expect: (seen) => {
      assert.equal(seen.sent.reasoning_effort, "high");
      assert.equal(seen.sent.response_format.type, "json_schema");
    },
  },
  ...(
    [
      ["openai", "gpt-5.2", "max_completion_tokens"],
      ["openai", "o3", "max_completion_tokens"],
      ["openai", "gpt-4o", "max_tokens"],
      ["groq", "openai/gpt-oss-120b", "max_completion_tokens"],
      ["openrouter", "openai/gpt-5.2", "max_tokens"],
      ["hosted_vllm", "qwen3", "max_tokens"],
    ] as const
  ).map(([provider, model, field]): Row => ({
    id: "36",
    title: `${provider} ${model} takes ${field}, and gets exactly one`,
    provider,
    model,
    ask: { max_tokens: 99 },
    expect: (seen) => {
      const both = ["max_tokens", "max_completion_tokens"].filter((name) => name in seen.sent);
      assert.deepEqual(both, [field]);
      assert.equal(seen.sent[field], 99);
    },
  })),
  {
    id: "36",
    title: "a server that wants the other field gets it on the second try",
    ask: { max_tokens: 99 },
    reply: [
      {
        status: 400,
        json: { error: { message: "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead." } },
      },
      answer({ content: "Hi" }),
    ],
    expect: (seen) => {
      assert.equal(seen.status, 200);
      assert.equal(seen.sent.max_completion_tokens, 99);
      assert.ok(!("max_tokens" in seen.sent));
    },
  },
  {
    id: "37",
    title: "$schema is taken out, server tools are left out, not sent as broken functions",
    ask: {
      tools: [
        { name: "web_search", type: "web_search_20250305", max_uses: 5 },
        {
          name: "Q",
          input_schema: {
            $schema: "http://json-schema.org/draft-07/schema#",
            type: "object",
            properties: { $schema: { type: "string" }, deep: { type: "object", $schema: "x" } },
          },
        },
        { name: "Bare", input_schema: { type: "object" } },
      ],
    },
    expect: (seen) => {
      const tools = seen.sent.tools as { function: { name: string; parameters: unknown } }[];
      assert.deepEqual(
        tools.map((tool) => tool.function.name),
        ["Q", "Bare"],
      );
      assert.deepEqual(tools[0]?.function.parameters, {
        type: "object",
        properties: { $schema: { type: "string" }, deep: { type: "object" } },
      });
      assert.deepEqual(tools[1]?.function.parameters, { type: "object", properties: {} });
    },
  },
  ...[[], [{ name: "web_search", type: "web_search_20250305" }]].map((tools): Row => ({
    id: "37",
    title: `no tools left (${tools.length} sent): neither tools nor tool_choice`,
    ask: { tools, tool_choice: { type: "auto" } },
    expect: (seen) => assert.ok(!("tools" in seen.sent) && !("tool_choice" in seen.sent)),
  })),
  ...(
    [
      [{ type: "auto" }, "auto"],
      [{ type: "any" }, "required"],
      [
        { type: "tool", name: "Read" },
        { type: "function", function: { name: "Read" } },
      ],
      [{ type: "none" }, "none"],
    ] as const
  ).map(([choice, expected]): Row => ({
    id: "38",
    title: `tool_choice ${choice.type}`,
    ask: { tools: [READ_TOOL], tool_choice: choice },
    expect: (seen) => {
      assert.deepEqual(seen.sent.tool_choice, expected);
      assert.ok(!("parallel_tool_calls" in seen.sent));
    },
  })),
  {
    id: "38",
    title: "any with disable_parallel_tool_use",
    onlyHere: true,
    ask: { tools: [READ_TOOL], tool_choice: { type: "any", disable_parallel_tool_use: true } },
    expect: (seen) => {
      assert.equal(seen.sent.tool_choice, "required");
      assert.equal(seen.sent.parallel_tool_calls, false);
    },
  },
  {
    id: "39",
    title: "a tool name beyond 64 characters is shortened everywhere, and restored in the answer",
    ask: {
      ...STREAM,
      tools: [{ ...READ_TOOL, name: LONG_NAME }],
      tool_choice: { type: "tool", name: LONG_NAME },
      messages: [{ role: "user", content: "Go" }, assistant(toolUse("c0", {}, LONG_NAME)), user(result("c0", "ok"))],
    },
    reply: stream(calls(call(0, { id: "c1", name: shortName(), args: "{}" })), end("tool_calls")),
    expect: (seen) => {
      const name = seen.sent.tools[0].function.name as string;
      assert.equal(name, shortName());
      assert.match(name, /^[\w-]{1,64}$/);
      assert.equal(seen.sent.tool_choice.function.name, name);
      assert.equal(seen.sent.messages[1].tool_calls[0].function.name, name);
      assert.deepEqual(blocks(seen), [`${LONG_NAME}:{}`]);
    },
  },
  {
    id: "40",
    title: "count_tokens answers for any model, counts system and tools, and says that it is an estimate",
    kind: "count_tokens",
    ask: { system: "word ".repeat(1000), tools: [READ_TOOL], messages: [user(text("hello ".repeat(500)))] },
    expect: (seen) => {
      assert.equal(seen.status, 200);
      assert.ok(seen.json.input_tokens >= 1500 && seen.json.input_tokens < 2200, String(seen.json.input_tokens));
      assert.equal(seen.headers.get("x-token-count"), "estimate");
      assert.equal(seen.requests.length, 0);
    },
  },
  {
    id: "+ stop sequence",
    title: "a stop sequence that the server names is echoed",
    ask: { ...STREAM, stop_sequences: ["END"] },
    reply: stream({ choices: [{ index: 0, delta: { content: "Hi" }, finish_reason: "stop", stop_reason: "END" }] }),
    expect: (seen) => {
      assert.equal(seen.message.stop_reason, "stop_sequence");
      assert.equal(seen.message.stop_sequence, "END");
    },
  },
  ...[undefined, STREAM].flatMap((ask): Row[] => [
    {
      id: "+ refusal",
      title: `content_filter is a refusal${ask === undefined ? "" : ", streamed"}`,
      ...(ask === undefined ? {} : { ask }),
      reply: ask === undefined ? answer({ content: "I" }, "content_filter") : stream(end("content_filter")),
      expect: (seen) => assert.equal(seen.message.stop_reason, "refusal"),
    },
    {
      id: "+ refusal",
      title: `a refusal's text is shown${ask === undefined ? "" : ", streamed"}`,
      ...(ask === undefined ? {} : { ask }),
      reply:
        ask === undefined
          ? answer({ content: null, refusal: "I won't." })
          : stream({ choices: [{ index: 0, delta: { refusal: "I won't." }, finish_reason: "stop" }] }),
      expect: (seen) => {
        assert.deepEqual(blocks(seen), ["text:I won't."]);
        assert.equal(seen.message.stop_reason, "refusal");
      },
    },
  ]),
  {
    id: "+ images refused",
    title: "a model that cannot see gets words instead of the image, on the second try",
    ask: { messages: [user(text("See"), image)] },
    reply: [
      {
        status: 400,
        json: { error: { message: "Invalid content type. image_url is only supported by certain models." } },
      },
      answer({ content: "I see nothing." }),
    ],
    expect: (seen) => {
      assert.equal(seen.status, 200);
      assert.ok(!JSON.stringify(seen.sent).includes(PNG));
    },
  },
];

function shortName(): string {
  // Fixed here on purpose: a history written by an older release must still fit.
  return `${LONG_NAME.slice(0, 55)}_bed6541f`;
}
