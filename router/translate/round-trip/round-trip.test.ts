/** The parts of its own answer that a provider gets back through a client: ids, signatures, reasoning. */
import { describe, expect, test } from "vitest";
import { call, calls, chunk, end, READ_TOOL } from "../../conformance/case.ts";
import { bodyOf, deploymentOf, nodeDeps } from "../../testing/call-upstream.ts";
import { readMessage } from "../../testing/read-message.ts";
import { MessageStream } from "../answer/stream.ts";
import { toChatCall } from "../request/chat-call.ts";
import type { ChatAssistant, ChatTool } from "../request/chat.ts";
import { dialectOf } from "../request/dialects.ts";
import { CallIds } from "./call-ids.ts";

interface Row {
  title: string;
  provider: string;
  model: string;
  answer: object[];
  back: Partial<ChatAssistant>;
  resultId?: string;
}

const details = [{ type: "reasoning.encrypted", data: "opaque", index: 0, id: "r1" }];
const signature = { google: { thought_signature: "c2ln" } };
const wanted = { type: "function", function: { name: "Read", arguments: '{"path":"a"}' } } as const;

const rows: Row[] = [
  {
    title: "an id that Anthropic clients refuse comes back as it was",
    provider: "moonshot",
    model: "kimi-k2",
    answer: [calls(call(0, { id: "functions.Read:0", name: "Read", args: '{"path":"a"}' }))],
    back: { reasoning_content: "", tool_calls: [{ id: "functions.Read:0", ...wanted }] },
    resultId: "functions.Read:0",
  },
  {
    title: "Gemini's thought signature comes back with its call",
    provider: "gemini",
    model: "gemini-3-pro",
    answer: [
      chunk({
        tool_calls: [{ ...call(0, { id: "c1", name: "Read", args: '{"path":"a"}' }), extra_content: signature }],
      }),
    ],
    back: { tool_calls: [{ id: "c1", ...wanted, extra_content: signature } as never] },
    resultId: "c1",
  },
  {
    title: "a call of another model gets the signature that Gemini takes for such",
    provider: "gemini",
    model: "gemini-3-pro",
    answer: [calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' }))],
    back: {
      tool_calls: [
        {
          id: "c1",
          ...wanted,
          extra_content: { google: { thought_signature: "skip_thought_signature_validator" } },
        } as never,
      ],
    },
  },
  {
    title: "OpenRouter's encrypted reasoning comes back as it was",
    provider: "openrouter",
    model: "openai/gpt-5.2",
    answer: [
      chunk({ reasoning_details: details }),
      chunk({ content: "Hi" }),
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
    ],
    back: { content: "Hi", reasoning_details: details, tool_calls: [{ id: "c1", ...wanted }] },
  },
  {
    title: "pieces of signed reasoning come back as one",
    provider: "openrouter",
    model: "anthropic/claude-sonnet-5",
    answer: [
      chunk({ reasoning: "A", reasoning_details: [{ type: "reasoning.text", index: 0, text: "A" }] }),
      chunk({ reasoning: "B", reasoning_details: [{ type: "reasoning.text", index: 0, text: "B" }] }),
      chunk({ reasoning_details: [{ type: "reasoning.text", index: 0, signature: "sig" }] }),
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
    ],
    back: {
      reasoning_details: [{ type: "reasoning.text", index: 0, text: "AB", signature: "sig" }],
      tool_calls: [{ id: "c1", ...wanted }],
    },
  },
  {
    title: "DeepSeek's reasoning comes back as reasoning_content",
    provider: "deepseek",
    model: "deepseek-v4",
    answer: [
      chunk({ reasoning_content: "Read it." }),
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
    ],
    back: { reasoning_content: "Read it.", tool_calls: [{ id: "c1", ...wanted }] },
  },
  {
    title: "Mistral gets ids of nine letters and digits, the same for a call and its result",
    provider: "mistral",
    model: "mistral-large",
    answer: [calls(call(0, { id: "call_with_a_long_id", name: "Read", args: '{"path":"a"}' }))],
    back: { tool_calls: [{ id: "cdfc67d33", ...wanted }] },
    resultId: "cdfc67d33",
  },
];

describe("round trips through a client", () => {
  test.each(rows)("$title", ({ provider, model, answer, back, resultId }) => {
    const deployment = deploymentOf({ provider, model });
    const dialect = dialectOf(deployment);
    const first = toChatCall(bodyOf({ tools: [READ_TOOL] }), deployment, dialect);
    const stream = new MessageStream({
      messageId: "msg_1",
      model: "claude",
      requestId: "req_1",
      names: first.names,
      callIds: new CallIds(first.callIds, (prefix) => nodeDeps.newId(prefix)),
      stopSequences: [],
      source: { provider, apiKey: undefined },
      estimateInput: () => 1,
    });
    const text = [...answer, end("tool_calls")].map((piece) => stream.push(JSON.stringify(piece))).join("");
    const message = readMessage(text + stream.push("[DONE]"));
    const id = message.content.find((block) => block.type === "tool_use")?.id ?? "";
    const next = toChatCall(
      bodyOf({
        tools: [READ_TOOL],
        messages: [
          { role: "user", content: "Go" },
          { role: "assistant", content: message.content },
          { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: "ok" }] },
        ],
      }),
      deployment,
      dialect,
    );
    expect(next.request.messages[1]).toEqual({ role: "assistant", content: null, ...back });
    if (resultId !== undefined) expect((next.request.messages[2] as ChatTool).tool_call_id).toBe(resultId);
  });
});
