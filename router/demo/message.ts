/** Turns a step into a complete message of the Messages API: the answer without a stream, and the content of a stream. */
import type { Usage } from "../base/usage.ts";
import type { Step } from "./step.ts";

/** A content block that the demonstration model can write. */
export type ContentBlock =
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "text"; text: string; citations: null }
  | { type: "tool_use"; id: string; name: string; input: Record<string, unknown>; caller: { type: "direct" } };

/** Usage in the shape of the Messages API. */
export interface WireUsage {
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
  output_tokens: number;
  cache_creation: null;
  inference_geo: null;
  output_tokens_details: null;
  server_tool_use: null;
  service_tier: "standard";
  speed: null;
}

/** A message in the shape of the Messages API. */
export interface Message {
  id: string;
  type: "message";
  role: "assistant";
  model: string;
  container: null;
  diagnostics: null;
  content: ContentBlock[];
  stop_details: null;
  stop_reason: NonNullable<Step["stopReason"]> | null;
  stop_sequence: null;
  usage: WireUsage;
}

/** Base64 of "demo model". Clients return signed thinking, and nothing here checks the signature. */
const SIGNATURE = "ZGVtbyBtb2RlbA==";

/** The facts about a request that its answer needs. */
export interface Asked {
  /** The model's name as the caller wrote it. */
  readonly model: string;
  readonly requestBytes: number;
}

/** The complete answer. `newId` is the only effect. */
export function toMessage(step: Step, asked: Asked, newId: (prefix: string) => string): Message {
  const content = toBlocks(step, newId);
  const called = content.some((block) => block.type === "tool_use");
  return {
    id: newId("msg"),
    type: "message",
    role: "assistant",
    model: asked.model,
    container: null,
    diagnostics: null,
    content,
    stop_details: null,
    stop_reason: step.stopReason ?? (called ? "tool_use" : "end_turn"),
    stop_sequence: null,
    usage: {
      input_tokens: step.usage?.input_tokens ?? estimateInputTokens(asked.requestBytes),
      cache_creation_input_tokens: step.usage?.cache_creation_input_tokens ?? 0,
      cache_read_input_tokens: step.usage?.cache_read_input_tokens ?? 0,
      output_tokens: step.usage?.output_tokens ?? estimateOutputTokens(content),
      cache_creation: null,
      inference_geo: null,
      output_tokens_details: null,
      server_tool_use: null,
      service_tier: "standard",
      speed: null,
    },
  };
}

/** One token per four bytes of the request. Never 0, because an empty request is billed too. */
export function estimateInputTokens(requestBytes: number): number {
  return Math.max(1, Math.ceil(requestBytes / 4));
}

/** The same counts in the router's terms. */
export function toUsage(usage: WireUsage): Usage {
  return {
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cacheReadTokens: usage.cache_read_input_tokens,
    cacheWriteTokens: usage.cache_creation_input_tokens,
  };
}

/** The text that a block's deltas send piece by piece. */
export function spelledOut(block: ContentBlock): string {
  switch (block.type) {
    case "thinking":
      return block.thinking;
    case "text":
      return block.text;
    case "tool_use":
      return JSON.stringify(block.input);
  }
}

function toBlocks(step: Step, newId: (prefix: string) => string): ContentBlock[] {
  const calls = step.tools ?? (step.tool === undefined ? [] : [{ name: step.tool, input: step.input ?? {} }]);
  const blocks: ContentBlock[] = [];
  if (step.thinking) blocks.push({ type: "thinking", thinking: step.thinking, signature: SIGNATURE });
  if (step.text) blocks.push({ type: "text", text: step.text, citations: null });
  for (const call of calls) {
    const id = ("id" in call ? call.id : undefined) ?? newId("toolu");
    blocks.push({ type: "tool_use", id, name: call.name, input: call.input, caller: { type: "direct" } });
  }
  // An empty step still ends a turn with a text. A step with `"text": ""` asks for an empty answer.
  if (blocks.length === 0 && step.text === undefined) blocks.push({ type: "text", text: "done", citations: null });
  return blocks;
}

function estimateOutputTokens(content: readonly ContentBlock[]): number {
  const characters = content.reduce((sum, block) => sum + spelledOut(block).length, 0);
  return Math.max(1, Math.ceil(characters / 4));
}
