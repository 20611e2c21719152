/**
 * The OpenAI dialect as it is really spoken: OpenAI's own types plus the fields its imitators added.
 *
 * Types only; what comes from a provider is never assumed to fit them.
 */
import type {
  ChatCompletionContentPartText,
  ChatCompletionFunctionTool,
  ChatCompletionMessageFunctionToolCall,
  ChatCompletionToolChoiceOption,
} from "openai/resources/chat/completions";

/** Anthropic's cache mark; some OpenAI-format providers pass it on to Claude models. */
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
  /** OpenRouter: signed or encrypted reasoning, to be returned as it came. */
  reasoning_details?: unknown[];
}
export interface ChatTool {
  role: "tool";
  tool_call_id: string;
  content: string | ChatTextPart[];
}
export type ChatMessage = ChatSystem | ChatUser | ChatAssistant | ChatTool;

/** A chat completions request. Open: providers add fields, and so may a deployment's configuration. */
export interface ChatRequest {
  model: string;
  messages: ChatMessage[];
  stream?: boolean;
  tools?: ChatCompletionFunctionTool[];
  tool_choice?: ChatCompletionToolChoiceOption;
  stop?: string[];
  [field: string]: unknown;
}
