/** Cases 14 to 19 and 24: usage, the end of a stream, and how its bytes are split. */
import { assert } from "../testing/expect.ts";
import { answer, blocks, chunk, end, type Row, STREAM, stream, USAGE, usageChunk } from "./case.ts";

export const streamRows: Row[] = [
  {
    id: "14",
    title: "usage in a later chunk without choices; asked for by include_usage",
    ask: STREAM,
    reply: stream(chunk({ content: "Hi" }), end("stop"), usageChunk(USAGE)),
    expect: (seen) => {
      assert.deepEqual(seen.sent.stream_options, { include_usage: true });
      assert.equal(seen.message.usage.input_tokens, 100);
      assert.equal(seen.message.usage.output_tokens, 20);
      assert.equal(seen.usage.length, 1);
    },
  },
  {
    id: "14",
    title: "no usage at all: an estimate for the client, nothing for the bill",
    ask: STREAM,
    reply: stream(chunk({ content: "Hi" }), end("stop")),
    expect: (seen) => {
      assert.ok(seen.message.usage.input_tokens > 0);
      assert.equal(seen.usage.length, 0);
    },
  },
  {
    id: "15",
    title: "usage in the finish chunk",
    ask: STREAM,
    reply: stream(chunk({ content: "Hi" }), chunk({}, "stop", { usage: USAGE })),
    expect: (seen) => assert.equal(seen.message.usage.output_tokens, 20),
  },
  {
    id: "15",
    title: "usage in x_groq",
    onlyHere: true,
    provider: "groq",
    ask: STREAM,
    reply: stream(chunk({ content: "Hi" }), chunk({}, "stop", { x_groq: { id: "req_1", usage: USAGE } })),
    expect: (seen) =>
      assert.deepEqual(seen.usage, [{ inputTokens: 100, outputTokens: 20, cacheReadTokens: 0, cacheWriteTokens: 0 }]),
  },
  ...(
    [
      ["OpenAI", { ...USAGE, prompt_tokens_details: { cached_tokens: 60 } }],
      ["DeepSeek", { ...USAGE, prompt_cache_hit_tokens: 60, prompt_cache_miss_tokens: 40 }],
    ] as const
  ).map(([who, usage]): Row => ({
    id: "16",
    title: `cached tokens are counted once (${who})`,
    ask: STREAM,
    reply: stream(chunk({ content: "Hi" }), end("stop"), usageChunk(usage)),
    expect: (seen) => {
      assert.equal(seen.message.usage.input_tokens, 40);
      assert.equal(seen.message.usage.cache_read_input_tokens, 60);
    },
  })),
  {
    id: "16",
    title: "cached tokens are counted once, whole",
    reply: answer({ content: "Hi" }, "stop", { usage: { ...USAGE, prompt_tokens_details: { cached_tokens: 60 } } }),
    expect: (seen) => {
      assert.equal(seen.json.usage.input_tokens, 40);
      assert.equal(seen.json.usage.cache_read_input_tokens, 60);
    },
  },
  {
    id: "17",
    title: "no finish reason and the socket dies: event: error, no end_turn",
    ask: STREAM,
    reply: { chunks: [chunk({ content: "Half an ans" })], cut: true },
    expect: cutShort,
  },
  {
    id: "17",
    title: "no finish reason and the connection closes normally",
    ask: STREAM,
    reply: { chunks: [chunk({ content: "Half an ans" })], done: false },
    expect: cutShort,
  },
  {
    id: "18",
    title: "a finish reason but no [DONE]: a normal end",
    ask: STREAM,
    reply: { chunks: [chunk({ content: "Hi" }), end("stop")], done: false },
    expect: (seen) => {
      assert.equal(seen.message.error, null);
      assert.equal(seen.message.stop_reason, "end_turn");
    },
  },
  {
    id: "18",
    title: "a finish reason, then the socket dies",
    ask: STREAM,
    reply: { chunks: [chunk({ content: "Hi" }), end("stop")], cut: true },
    expect: (seen) => assert.equal(seen.message.stop_reason, "end_turn"),
  },
  {
    id: "19",
    title: "an error object in a 200 stream: event: error, no message_stop",
    ask: STREAM,
    reply: stream(chunk({ content: "Half" }), { error: { message: "Rate limited", code: 429 } }),
    expect: (seen) => {
      assert.equal(seen.message.error?.type, "rate_limit_error");
      assert.ok(!seen.text.includes("message_stop"));
    },
  },
  {
    id: "19",
    title: "OpenRouter's mid-stream error, beside a finish reason",
    ask: STREAM,
    provider: "openrouter",
    reply: stream(
      chunk({ content: "Half" }),
      chunk({ content: "" }, "error", { error: { code: "server_error", message: "Provider disconnected" } }),
    ),
    expect: (seen) => {
      assert.equal(seen.message.error?.type, "api_error");
      assert.match(seen.message.error?.message ?? "", /Provider disconnected/);
    },
  },
  {
    id: "24",
    title: "comments, CRLF, no space after data:, split in the middle of characters",
    ask: STREAM,
    reply: {
      chunks: [
        ": OPENROUTER PROCESSING\r\n\r\n",
        `data:${JSON.stringify(chunk({ content: "Größe 😀 " }))}\r\n\r\n`,
        ": OPENROUTER PROCESSING\r\n\r\n",
        `event: message\r\ndata: ${JSON.stringify(chunk({ content: "漢字" }))}\r\n\r\n`,
        `data: ${JSON.stringify(end("stop"))}\r\n\r\n`,
      ],
      writeSize: 3,
    },
    expect: (seen) => assert.deepEqual(blocks(seen), ["text:Größe 😀 漢字"]),
  },
];

function cutShort(seen: { message: { error: { type: string } | null }; text: string }): void {
  assert.equal(seen.message.error?.type, "api_error");
  assert.ok(!seen.text.includes("end_turn"));
  assert.ok(!seen.text.includes("message_stop"));
}
