/**
 * Requests of the OpenAI dialect as providers use it: OpenAI's own types and the fields that other providers added.
 *
 * The types describe what we send. An answer from a provider is never assumed to fit them.
 */
import type {
  ChatCompletionContentPartText,
  ChatCompletionFunctionTool,
  ChatCompletionMessageFunctionToolCall,
  ChatCompletionToolChoiceOption,
} from "openai/resources/chat/completions";

/** Anthropic's cache mark. Some OpenAI-format providers pass it on to Claude models. */
export interface CacheMark {
  readonly cache_control?: unknown;
}

export type ChatTextPart = ChatCompletionContentPartText & CacheMark;
export type ChatImagePart = { type: "image_url"; image_url: { url: string } } & CacheMark;
export type ChatFilePart = { type: "file"; file: { filename: string; file_data: string } } & CacheMark;
export type ChatPart = ChatTextPart | ChatImagePart | ChatFilePart;

export interface ChatSystem {
  role: "system";
  content: string | ChatTextPart[];
}
export interface ChatUser {
  role: "user";
  content: string | ChatPart[];
}
export interface ChatAssistant {
  role: "assistant";
  content: string | null;
  tool_calls?: ChatCompletionMessageFunctionToolCall[];
  /** Groq, OpenRouter, newer vLLM. */
  reasoning?: string;
  /** DeepSeek, Moonshot, older vLLM. */
  reasoning_content?: string;
  /** OpenRouter: signed or encrypted reasoning, returned unchanged. */
  reasoning_details?: unknown[];
}
export interface ChatTool {
  role: "tool";
  tool_call_id: string;
  content: string | ChatTextPart[];
}
export type ChatMessage = ChatSystem | ChatUser | ChatAssistant | ChatTool;

/** A chat completions request. Any field may be added, by a provider's dialect or a deployment's configuration. */
export interface ChatRequest {
  model: string;
  messages: ChatMessage[];
  stream?: boolean;
  tools?: ChatCompletionFunctionTool[];
  tool_choice?: ChatCompletionToolChoiceOption;
  stop?: string[];
  [field: string]: unknown;
}
