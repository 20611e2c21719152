/**
 * What the scripted provider says: the same text and the same tool call in both dialects, prepared as bytes
 * before the first request, so that its own work is the same in every measurement.
 */

export interface Script {
  /** Text deltas. */
  readonly texts: readonly string[];
  /** Argument deltas of one tool call; together they are JSON. Empty: no tool call. */
  readonly argumentParts: readonly string[];
}

/** What is sent: one piece a write for a stream, or one body. */
export interface Answer {
  readonly frames: readonly Uint8Array[];
  readonly whole: Uint8Array;
}

const encoder = new TextEncoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);

/** A sentence in pieces of about a token each, and a call that writes a file. */
export function script(texts: number, argumentParts: number): Script {
  const words = ["The ", "tests ", "pass ", "now; ", "next ", "comes ", "the ", "report. "];
  const word = (index: number): string => words[index % words.length] ?? "";
  const pieces = Array.from({ length: argumentParts }, (_, index) => {
    if (index === 0) return '{"file_path":"/workspace/report.md","content":"';
    return index === argumentParts - 1 ? '"}' : `${word(index)}\\n`;
  });
  return { texts: Array.from({ length: texts }, (_, index) => word(index)), argumentParts: pieces };
}

const INPUT_TOKENS = 9_000;

/** In the format of Anthropic's Messages API. */
export function toMessages({ texts, argumentParts }: Script, model: string): Answer {
  const hasTool = argumentParts.length > 0;
  const usage = { input_tokens: INPUT_TOKENS, output_tokens: texts.length + argumentParts.length };
  const tool = { type: "tool_use", id: "toolu_bench01", name: "Write" };
  const message = { id: "msg_bench01", type: "message", role: "assistant", model, stop_sequence: null };
  const stopReason = hasTool ? "tool_use" : "end_turn";
  const events: ({ type: string } & Record<string, unknown>)[] = [
    {
      type: "message_start",
      message: { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } },
    },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    ...texts.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
    { type: "content_block_stop", index: 0 },
  ];
  if (hasTool) {
    events.push({ type: "content_block_start", index: 1, content_block: { ...tool, input: {} } });
    for (const part of argumentParts)
      events.push({
        type: "content_block_delta",
        index: 1,
        delta: { type: "input_json_delta", partial_json: part },
      });
    events.push({ type: "content_block_stop", index: 1 });
  }
  events.push(
    { type: "message_delta", delta: { stop_reason: stopReason, stop_sequence: null }, usage },
    { type: "message_stop" },
  );
  const content: unknown[] = [{ type: "text", text: texts.join("") }];
  if (hasTool) content.push({ ...tool, input: JSON.parse(argumentParts.join("")) as unknown });
  return {
    frames: events.map((event) => bytes(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)),
    whole: bytes(JSON.stringify({ ...message, content, stop_reason: stopReason, usage })),
  };
}

/** In the format of OpenAI's chat completions. */
export function toChat({ texts, argumentParts }: Script, model: string): Answer {
  const hasTool = argumentParts.length > 0;
  const completion = texts.length + argumentParts.length;
  const usage = {
    prompt_tokens: INPUT_TOKENS,
    completion_tokens: completion,
    total_tokens: INPUT_TOKENS + completion,
  };
  const call = { id: "call_bench01", type: "function" };
  const finish = hasTool ? "tool_calls" : "stop";
  const head = { id: "chatcmpl-bench01", created: 1_790_000_000, model };
  const chunk = (delta: unknown, finishReason: string | null = null): unknown => ({
    ...head,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  });
  const chunks = [
    chunk({ role: "assistant", content: "" }),
    ...texts.map((text) => chunk({ content: text })),
    ...argumentParts.map((part, index) =>
      chunk({
        tool_calls: [
          index === 0
            ? { index: 0, ...call, function: { name: "Write", arguments: part } }
            : { index: 0, function: { arguments: part } },
        ],
      }),
    ),
    chunk({}, finish),
    { ...head, object: "chat.completion.chunk", choices: [], usage },
  ];
  const toolCalls = hasTool
    ? { tool_calls: [{ ...call, function: { name: "Write", arguments: argumentParts.join("") } }] }
    : {};
  const choice = {
    index: 0,
    message: { role: "assistant", content: texts.join(""), ...toolCalls },
    finish_reason: finish,
  };
  return {
    frames: [...chunks.map((each) => bytes(`data: ${JSON.stringify(each)}\n\n`)), bytes("data: [DONE]\n\n")],
    whole: bytes(JSON.stringify({ ...head, object: "chat.completion", choices: [choice], usage })),
  };
}
