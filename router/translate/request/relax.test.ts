import { expect, test } from "vitest";
import type { ChatRequest } from "./chat.ts";
import { dialectOf } from "./dialects.ts";
import { relax } from "./relax.ts";

const dialect = dialectOf({ provider: "somebody", model: "m", apiBase: "http://x.test/v1" });
const image = { role: "user" as const, content: [{ type: "image_url" as const, image_url: { url: "data:," } }] };

const rows: readonly [answer: string, sent: Partial<ChatRequest>, change: object | null][] = [
  [
    "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.",
    { max_tokens: 1 },
    { tokensField: "max_completion_tokens" },
  ],
  ["Extra inputs are not permitted: stream_options", { stream_options: {} }, { streamOptions: false }],
  ["Unsupported value: 'temperature' does not support 0.2", { temperature: 0.2 }, { sampling: false }],
  ["Unsupported parameter: 'stop'", { stop: ["x"] }, { maxStops: 0 }],
  ["Unknown parameter: 'parallel_tool_calls'", { parallel_tool_calls: false }, { parallelToolCalls: false }],
  ["response_format json_schema is not supported", { response_format: {} }, { structured: "prompt" }],
  ["image input is not supported", { messages: [image] }, { images: false }],
  ["No endpoints found that support image input", { messages: [image] }, { images: false }],
  [
    "The reasoning_content in the thinking mode must be passed back to the API.",
    {},
    { reasoningBack: "reasoning_content" },
  ],
  [
    "max_tokens is too large: 32000. This model supports at most 16384 completion tokens.",
    { max_tokens: 32_000 },
    { mostTokens: 16_384 },
  ],
  ["`max_tokens` must be less than or equal to `8192`", { max_tokens: 32_000 }, { mostTokens: 8192 }],
  ["max_tokens must be at least 1 and at most 8192", { max_tokens: 100 }, null],
  // What was not sent cannot be the reason.
  ["Unsupported parameter: 'temperature'", {}, null],
  ["image input is not supported", {}, null],
  ["messages: something else is wrong", { max_tokens: 1, temperature: 1 }, null],
];

test.each(rows)("%s", (answer, sent, change) => {
  const request: ChatRequest = { model: "m", messages: [], ...sent };
  const simpler = relax(400, answer, request, dialect);
  if (change === null) expect(simpler).toBeUndefined();
  else expect(simpler).toMatchObject(change);
  expect(relax(500, answer, request, dialect)).toBeUndefined();
});
