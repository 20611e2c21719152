/** Translates a complete chat completion into a Message. */
import type { ContentBlock, Message, Usage as MessageUsage } from "@anthropic-ai/sdk/resources/messages/messages";
import type { RouterFailure } from "../../base/errors.ts";
import { asArray, isRecord, nonEmpty, type Json } from "../../base/json.ts";
import type { CallIds } from "../round-trip/call-ids.ts";
import { mergeDetails, reasoningText, signatureOf, UNSIGNED } from "../round-trip/reasoning.ts";
import { UNNAMED_TOOL, type ToolNames } from "../round-trip/tools.ts";
import { errorObject, notAnAnswer, toFailure, type FailureSource } from "./failure.ts";
import { toolInput } from "./json-guard.ts";
import { failedFinish, matchedStop, toStop, type Stop } from "./stop-reason.ts";
import { chatUsageOf, type ChatUsage } from "./usage.ts";

/** The facts about a call that the translation of its answer needs. */
export interface AnswerContext {
  /** Id of the Message. */
  readonly messageId: string;
  /** The model's name as the caller wrote it. */
  readonly model: string;
  readonly requestId: string;
  readonly names: ToolNames;
  readonly callIds: CallIds;
  readonly stopSequences: readonly string[];
  readonly source: FailureSource;
  /** Input tokens to report when the provider reports none; a client that sees none never compacts. Called at most once. */
  readonly estimateInput: () => number;
}

/** The translated answer, or the failure that came instead. */
export type Answer =
  | { readonly ok: true; readonly message: Message; readonly usage: ChatUsage | undefined }
  | { readonly ok: false; readonly failure: RouterFailure };

/** Translates `body`, the parsed body of a 200. */
export function toMessage(body: unknown, context: AnswerContext): Answer {
  if (!isRecord(body))
    return { ok: false, failure: notAnAnswer("something that is not a JSON object", context.source) };
  const choice = asArray(body["choices"]).find(isRecord);
  if (errorObject(body) !== undefined) {
    return { ok: false, failure: toFailure(200, JSON.stringify(body), context.source) };
  }
  const message = choice?.["message"];
  if (choice === undefined || !isRecord(message)) {
    return { ok: false, failure: notAnAnswer("no choices", context.source) };
  }
  const finish = nonEmpty(choice["finish_reason"]) ?? null;
  if (isRecord(choice["error"])) {
    return { ok: false, failure: toFailure(200, JSON.stringify(choice), context.source) };
  }
  const failed = failedFinish(finish);
  if (failed !== undefined) return { ok: false, failure: failed };

  const refusal = nonEmpty(message["refusal"]);
  const content = toContentBlocks(message, refusal, context);
  const hasTools = content.some((block) => block.type === "tool_use");
  const stop = toStop(refusal === undefined ? finish : "refusal", hasTools, matchedStop(choice, context.stopSequences));
  const usage = chatUsageOf(body);
  const shown = usage ?? estimatedUsage(context, JSON.stringify(content).length);
  return {
    ok: true,
    message: { ...emptyMessage(context), content, ...stopFields(stop), usage: toMessageUsage(shown) },
    usage,
  };
}

function toContentBlocks(message: Json, refusal: string | undefined, context: AnswerContext): ContentBlock[] {
  const blocks: ContentBlock[] = [];
  const split = splitContent(message["content"]);
  const thinking = reasoningText(message) + split.thinking;
  const details: Json[] = [];
  mergeDetails(details, message["reasoning_details"]);
  const signature = signatureOf(details);
  if (thinking.trim() !== "") blocks.push({ type: "thinking", thinking, signature });
  else if (signature !== UNSIGNED) blocks.push({ type: "redacted_thinking", data: signature });
  const text = split.text + (refusal ?? "");
  if (text.trim() !== "") blocks.push({ type: "text", text, citations: null });
  const legacy = message["function_call"];
  const calls = [...asArray(message["tool_calls"]), ...(isRecord(legacy) ? [{ function: legacy }] : [])];
  for (const call of calls) {
    if (!isRecord(call)) continue;
    const fn = isRecord(call["function"]) ? call["function"] : {};
    blocks.push({
      type: "tool_use",
      id: context.callIds.take(
        nonEmpty(call["id"]),
        isRecord(call["extra_content"]) ? call["extra_content"] : undefined,
      ),
      name: context.names.restore(nonEmpty(fn["name"]) ?? UNNAMED_TOOL),
      input: toolInput(fn["arguments"] ?? ""),
      caller: { type: "direct" },
    });
  }
  return blocks;
}

/** Splits `content` into text and thinking. It is a string, or at Mistral a list of parts. */
export function splitContent(content: unknown): { text: string; thinking: string } {
  if (typeof content === "string") return { text: content, thinking: "" };
  let text = "";
  let thinking = "";
  for (const part of asArray(content)) {
    if (!isRecord(part)) continue;
    if (part["type"] === "thinking") {
      const inner = part["thinking"];
      thinking += typeof inner === "string" ? inner : splitContent(inner).text;
    } else text += nonEmpty(part["text"]) ?? nonEmpty(part["refusal"]) ?? "";
  }
  return { text, thinking };
}

/** A Message without content, as a stream begins it. */
export function emptyMessage(context: { messageId: string; model: string }): Message {
  return {
    id: context.messageId,
    type: "message",
    role: "assistant",
    model: context.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: toMessageUsage(NO_USAGE),
  };
}

/** The fields of a Message that say why it stopped. */
export function stopFields(stop: Stop): Pick<Message, "stop_reason" | "stop_sequence" | "stop_details"> {
  return {
    stop_reason: stop.reason,
    stop_sequence: stop.sequence,
    stop_details: stop.reason === "refusal" ? { type: "refusal", category: null, explanation: null } : null,
  };
}

const NO_USAGE: ChatUsage = {
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  thinkingTokens: undefined,
};

/** Estimated usage for the client to see. Billing never uses it. */
export function estimatedUsage(context: AnswerContext, outputChars: number): ChatUsage {
  return { ...NO_USAGE, inputTokens: context.estimateInput(), outputTokens: Math.ceil(outputChars / 4) };
}

/** Usage in the shape of a Message. */
export function toMessageUsage(usage: ChatUsage): MessageUsage {
  return {
    input_tokens: usage.inputTokens,
    output_tokens: usage.outputTokens,
    cache_creation_input_tokens: usage.cacheWriteTokens,
    cache_read_input_tokens: usage.cacheReadTokens,
    output_tokens_details: usage.thinkingTokens === undefined ? null : { thinking_tokens: usage.thinkingTokens },
    cache_creation: null,
    inference_geo: null,
    server_tool_use: null,
    service_tier: null,
    speed: null,
  };
}
