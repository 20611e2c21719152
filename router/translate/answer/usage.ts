/** Token counts of the OpenAI dialect, from wherever a provider puts them, in Anthropic's terms. */
import { isRecord, type Json } from "../../base/json.ts";
import type { Usage } from "../../base/usage.ts";

export interface ChatUsage extends Usage {
  /** Part of `outputTokens`; undefined when the provider does not say. */
  readonly thinkingTokens: number | undefined;
}

/** What is reported as billed: the counts alone. */
export function toUsage({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: Usage): Usage {
  return { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens };
}

/** The usage of a chunk or an answer: `usage`, or Groq's `x_groq.usage`. Undefined when there is none in it. */
export function chatUsageOf(body: Json): ChatUsage | undefined {
  const own = body["usage"];
  if (isRecord(own)) return readUsage(own);
  const groq = body["x_groq"];
  return isRecord(groq) && isRecord(groq["usage"]) ? readUsage(groq["usage"]) : undefined;
}

/**
 * OpenAI counts cached tokens inside `prompt_tokens`, Anthropic beside `input_tokens`: counted twice, a client sees its
 * context fill up twice as fast.
 */
function readUsage(usage: Json): ChatUsage | undefined {
  const prompt = count(usage["prompt_tokens"]) ?? count(usage["input_tokens"]);
  const completion = count(usage["completion_tokens"]) ?? count(usage["output_tokens"]);
  if (prompt === undefined && completion === undefined) return undefined;
  const promptDetails = isRecord(usage["prompt_tokens_details"]) ? usage["prompt_tokens_details"] : {};
  const outputDetails = isRecord(usage["completion_tokens_details"]) ? usage["completion_tokens_details"] : {};
  const read =
    count(promptDetails["cached_tokens"]) ??
    count(usage["prompt_cache_hit_tokens"]) ?? // DeepSeek
    count(usage["cached_tokens"]) ?? // Moonshot
    count(usage["cache_read_input_tokens"]) ?? // LiteLLM
    0;
  const written = count(promptDetails["cache_write_tokens"]) ?? count(usage["cache_creation_input_tokens"]) ?? 0;
  const thinking = count(outputDetails["reasoning_tokens"]);
  const cacheReadTokens = Math.min(read, prompt ?? 0);
  const cacheWriteTokens = Math.min(written, (prompt ?? 0) - cacheReadTokens);
  // xAI counts reasoning beside the completion; the total gives it away.
  const beside =
    thinking !== undefined && count(usage["total_tokens"]) === (prompt ?? 0) + (completion ?? 0) + thinking
      ? thinking
      : 0;
  return {
    inputTokens: (prompt ?? 0) - cacheReadTokens - cacheWriteTokens,
    outputTokens: (completion ?? 0) + beside,
    cacheReadTokens,
    cacheWriteTokens,
    thinkingTokens: thinking,
  };
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? Math.floor(value) : undefined;
}
