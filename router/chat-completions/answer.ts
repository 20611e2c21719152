/**
 * Translates a Messages answer into a chat completion for callers of `POST /v1/chat/completions`: JSON, streams, and
 * errors in OpenAI's shape.
 */
import type { ChatCompletion, ChatCompletionChunk } from "openai/resources/chat/completions";
import { createParser } from "eventsource-parser";
import type { ErrorType } from "../base/errors.ts";
import { asArray, isRecord, nonEmpty, parseJson, type Json } from "../base/json.ts";
import type { ChatRefusal, ChatRequestInfo } from "./request.ts";

/** What the completion needs beyond the answer itself. */
export interface ChatAnswerInfo extends ChatRequestInfo {
  /** Id of the completion: `chatcmpl-...` */
  readonly id: string;
  /** The model's name as the caller wrote it. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
}

/** An error response in OpenAI's shape. */
export function chatErrorResponse(refusal: ChatRefusal, requestId: string): Response {
  return Response.json(errorBody("invalid_request_error", refusal.message, refusal.param), {
    status: refusal.status,
    headers: { "request-id": requestId, "x-should-retry": "false" },
  });
}

/** Translates the router's answer to the translated request. */
export async function messagesResponseToChat(response: Response, info: ChatAnswerInfo): Promise<Response> {
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  const isStream = (headers.get("content-type") ?? "").startsWith("text/event-stream");
  if (response.ok && isStream && response.body !== null) {
    return new Response(streamToChat(response.body, info), { status: response.status, headers });
  }
  const body = parseJson(await response.text());
  const message = isRecord(body) ? body : {};
  const answer = response.ok ? toCompletion(message, info) : toErrorBody(message, response.status);
  headers.set("content-type", "application/json");
  return new Response(JSON.stringify(answer), { status: response.status, headers });
}

function errorBody(type: string, message: string, param: string | null = null): Json {
  return { error: { message, type, param, code: null } };
}

/** Anthropic's error types → the types that OpenAI's clients know. */
const ERROR_TYPES: Partial<Record<ErrorType, string>> = {
  authentication_error: "authentication_error",
  billing_error: "insufficient_quota",
  invalid_request_error: "invalid_request_error",
  not_found_error: "invalid_request_error",
  permission_error: "permission_error",
  rate_limit_error: "rate_limit_error",
  request_too_large: "invalid_request_error",
};

function toErrorBody(body: Json, status: number): Json {
  const error = isRecord(body["error"]) ? body["error"] : {};
  const type = ERROR_TYPES[error["type"] as ErrorType] ?? (status < 500 ? "invalid_request_error" : "server_error");
  return errorBody(type, nonEmpty(error["message"]) ?? `The model call failed with status ${status}.`);
}

type Finish = ChatCompletion.Choice["finish_reason"];

function toFinish(stop: unknown): Finish {
  switch (stop) {
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length";
    case "tool_use":
      return "tool_calls";
    case "refusal":
      return "content_filter";
    default:
      return "stop";
  }
}

/** OpenAI counts tokens read from a cache as part of the prompt; Anthropic counts them separately. */
function toUsage(usage: unknown): NonNullable<ChatCompletion["usage"]> {
  const counts = isRecord(usage) ? usage : {};
  const cached = count(counts["cache_read_input_tokens"]);
  const prompt = count(counts["input_tokens"]) + cached + count(counts["cache_creation_input_tokens"]);
  const output = count(counts["output_tokens"]);
  const details = isRecord(counts["output_tokens_details"]) ? counts["output_tokens_details"] : {};
  return {
    prompt_tokens: prompt,
    completion_tokens: output,
    total_tokens: prompt + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: count(details["thinking_tokens"]) },
  };
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

function toCompletion(message: Json, info: ChatAnswerInfo): ChatCompletion {
  let text = "";
  let reasoning = "";
  const details: Json[] = [];
  const calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] = [];
  for (const block of asArray(message["content"])) {
    if (!isRecord(block)) continue;
    switch (block["type"]) {
      case "text":
        text += nonEmpty(block["text"]) ?? "";
        break;
      case "thinking":
        reasoning += nonEmpty(block["thinking"]) ?? "";
        details.push({ type: "reasoning.text", text: block["thinking"], signature: block["signature"] });
        break;
      case "redacted_thinking":
        details.push({ type: "reasoning.encrypted", data: block["data"] });
        break;
      case "tool_use":
        calls.push({
          id: String(block["id"]),
          type: "function",
          function: { name: String(block["name"]), arguments: JSON.stringify(block["input"] ?? {}) },
        });
        break;
      default:
        break;
    }
  }
  return {
    id: info.id,
    object: "chat.completion",
    created: info.created,
    model: info.model,
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: text === "" ? null : text,
          refusal: null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
          ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
          ...(details.length > 0 ? { reasoning_details: details } : {}),
        },
        logprobs: null,
        finish_reason: toFinish(message["stop_reason"]),
      },
    ],
    usage: toUsage(message["usage"]),
  };
}

/** Translates a Messages stream, one event at a time. */
class ChatStream {
  readonly #head: string;
  readonly #info: ChatAnswerInfo;
  /** Block index → number of the tool call among the calls. */
  readonly #calls = new Map<unknown, number>();
  #usage: Json = {};
  ended = false;

  constructor(info: ChatAnswerInfo) {
    this.#info = info;
    const { id, created, model } = info;
    // Every chunk begins with the same fields.
    this.#head = `data: ${JSON.stringify({ id, object: "chat.completion.chunk", created, model }).slice(0, -1)},"choices":`;
  }

  push(event: Json): string {
    switch (event["type"]) {
      case "message_start": {
        const message = isRecord(event["message"]) ? event["message"] : {};
        this.#count(message["usage"]);
        return this.#delta({ role: "assistant", content: "" });
      }
      case "content_block_start":
        return this.#start(event["index"], isRecord(event["content_block"]) ? event["content_block"] : {});
      case "content_block_delta":
        return this.#blockDelta(event["index"], isRecord(event["delta"]) ? event["delta"] : {});
      case "message_delta": {
        this.#count(event["usage"]);
        const delta = isRecord(event["delta"]) ? event["delta"] : {};
        return this.#choice({}, toFinish(delta["stop_reason"]));
      }
      case "message_stop": {
        this.ended = true;
        const usage = this.#info.includeUsage
          ? `${this.#head}[],"usage":${JSON.stringify(toUsage(this.#usage))}}\n\n`
          : "";
        return `${usage}data: [DONE]\n\n`;
      }
      case "error":
        this.ended = true;
        return `data: ${JSON.stringify(toErrorBody(event, 500))}\n\n`;
      case "ping":
        return ": ping\n\n"; // a chunk without choices breaks clients; a comment keeps the connection open
      default:
        return "";
    }
  }

  #start(index: unknown, block: Json): string {
    switch (block["type"]) {
      case "tool_use": {
        const at = this.#calls.size;
        this.#calls.set(index, at);
        const fn = { name: block["name"], arguments: "" };
        return this.#delta({ tool_calls: [{ index: at, id: block["id"], type: "function", function: fn }] });
      }
      case "redacted_thinking":
        return this.#delta({ reasoning_details: [{ type: "reasoning.encrypted", data: block["data"], index }] });
      default:
        return "";
    }
  }

  #blockDelta(index: unknown, delta: Json): string {
    switch (delta["type"]) {
      case "text_delta":
        return delta["text"] === "" ? ": ping\n\n" : this.#delta({ content: delta["text"] });
      case "thinking_delta": {
        if (delta["thinking"] === "") return ": ping\n\n";
        const detail = { type: "reasoning.text", text: delta["thinking"], index };
        return this.#delta({ reasoning_content: delta["thinking"], reasoning_details: [detail] });
      }
      case "signature_delta":
        return this.#delta({ reasoning_details: [{ type: "reasoning.text", signature: delta["signature"], index }] });
      case "input_json_delta": {
        if (delta["partial_json"] === "") return ": ping\n\n";
        const fn = { arguments: delta["partial_json"] };
        return this.#delta({ tool_calls: [{ index: this.#calls.get(index) ?? 0, function: fn }] });
      }
      default:
        return "";
    }
  }

  #delta(delta: Json): string {
    return this.#choice(delta, null);
  }

  #choice(delta: Json, finish: ChatCompletionChunk.Choice["finish_reason"]): string {
    const choice = JSON.stringify({ index: 0, delta, logprobs: null, finish_reason: finish });
    // Callers that asked for usage get the field in every chunk, and it is null until the last one.
    return `${this.#head}[${choice}]${this.#info.includeUsage ? ',"usage":null' : ""}}\n\n`;
  }

  #count(usage: unknown): void {
    if (!isRecord(usage)) return;
    for (const [name, value] of Object.entries(usage)) if (value !== null) this.#usage[name] = value;
  }
}

function streamToChat(body: ReadableStream<Uint8Array>, info: ChatAnswerInfo): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  const chat = new ChatStream(info);
  let out = "";
  const parser = createParser({
    onEvent: ({ data }) => {
      const event = parseJson(data);
      if (isRecord(event) && !chat.ended) out += chat.push(event);
    },
  });
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      out = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          if (!chat.ended) out = chat.push({ type: "error", error: { message: "The answer was cut short." } });
          if (out !== "") controller.enqueue(encoder.encode(out));
          controller.close();
          return;
        }
        parser.feed(decoder.decode(value, { stream: true }));
        if (out === "") continue;
        controller.enqueue(encoder.encode(out));
        return;
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
