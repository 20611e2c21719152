/** Translates token counts of the OpenAI dialect, from all the fields that providers use, into Anthropic's terms. */
import { isRecord, type Json } from "../../base/json.ts";
import type { Usage } from "../../base/usage.ts";

/** Usage as a provider of the OpenAI dialect reports it. */
export interface ChatUsage extends Usage {
  /** The part of `outputTokens` spent on thinking; undefined when the provider does not say. */
  readonly thinkingTokens: number | undefined;
}

/** The counts for the usage record, without the thinking tokens. */
export function toUsage({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: Usage): Usage {
  return { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens };
}

/** The usage of a chunk or an answer, from `usage` or Groq's `x_groq.usage`. Undefined when there is none. */
export function chatUsageOf(body: Json): ChatUsage | undefined {
  const own = body["usage"];
  if (isRecord(own)) return readUsage(own);
  const groq = body["x_groq"];
  return isRecord(groq) && isRecord(groq["usage"]) ? readUsage(groq["usage"]) : undefined;
}

/**
 * OpenAI includes cached tokens in `prompt_tokens`; Anthropic counts them beside `input_tokens`. Counting them twice would
 * fill a client's context twice as fast.
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
  // xAI does not include reasoning in the completion tokens; the total shows it.
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
