/** A step as a message of the Messages API, complete: the non-streaming answer, and what the stream spells out. */
import type { Usage } from "../base/usage.ts";
import type { Step } from "./step.ts";

export type ContentBlock =
  | { type: "thinking"; thinking: string; signature: string }
  | { type: "text"; text: string; citations: null }
  | { type: "tool_use"; id: string; name: string; input: Record<string, unknown>; caller: { type: "direct" } };

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

/** Base64 of "demo model": signed thinking is passed back by clients and never checked here. */
const SIGNATURE = "ZGVtbyBtb2RlbA==";

/** What an answer has to know of its request. */
export interface Asked {
  /** The name the caller wrote. */
  readonly model: string;
  readonly requestBytes: number;
}

/** The whole answer. `newId` is the only effect. */
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

/** A token for four bytes of the request. Never 0: an empty request is billed too. */
export function estimateInputTokens(requestBytes: number): number {
  return Math.max(1, Math.ceil(requestBytes / 4));
}

/** The same figures as the router counts them. */
export function toUsage(usage: WireUsage): Usage {
  return {
    inputTokens: usage.input_tokens,
    outputTokens: usage.output_tokens,
    cacheReadTokens: usage.cache_read_input_tokens,
    cacheWriteTokens: usage.cache_creation_input_tokens,
  };
}

/** What a block's deltas spell, piece by piece. */
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
  // A step that asks for nothing still ends a turn; one that says `"text": ""` asks for an empty answer.
  if (blocks.length === 0 && step.text === undefined) blocks.push({ type: "text", text: "done", citations: null });
  return blocks;
}

function estimateOutputTokens(content: readonly ContentBlock[]): number {
  const characters = content.reduce((sum, block) => sum + spelledOut(block).length, 0);
  return Math.max(1, Math.ceil(characters / 4));
}
