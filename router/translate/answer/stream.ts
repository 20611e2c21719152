/**
 * Translates a stream of chat completion chunks into the events of a Message, one chunk at a time.
 *
 * Anthropic's stream has one open content block at a time, in order. OpenAI's stream interleaves text, reasoning and the
 * arguments of parallel calls freely. So blocks wait in a queue: the first one is open and streams, and those behind it
 * collect until it can be closed. Text and thinking can be closed at any moment, a tool call when its arguments are a
 * complete object.
 *
 * Pure: `pump.ts` and `upstreams/openai.ts` handle bytes, clocks and sockets.
 */
import { errorEvent, type RouterFailure } from "../../base/errors.ts";
import { asArray, isRecord, nonEmpty, parseJson, type Json } from "../../base/json.ts";
import { mergeDetails, reasoningText, signatureOf, UNSIGNED } from "../round-trip/reasoning.ts";
import { UNNAMED_TOOL } from "../round-trip/tools.ts";
import { errorObject, toFailure, type FailureSource } from "./failure.ts";
import { messageEvents } from "./message-events.ts";
import {
  emptyMessage,
  estimatedUsage,
  splitContent,
  stopFields,
  toMessage,
  toMessageUsage,
  type AnswerContext,
} from "./response.ts";
import { failedFinish, matchedStop, toStop } from "./stop-reason.ts";
import { ToolCalls, type ToolBlock } from "./tool-calls.ts";
import { chatUsageOf, type ChatUsage } from "./usage.ts";

interface ProseBlock {
  readonly kind: "text" | "thinking";
  opened: boolean;
  /** Collected but not yet sent. A block of white space alone is never opened. */
  pending: string;
  /** OpenRouter's `reasoning_details`, for the signature. */
  readonly details: Json[];
}

type Block = ProseBlock | ToolBlock;

/** The translation of one stream. */
export class MessageStream {
  readonly #context: AnswerContext;
  readonly #queue: Block[] = [];
  readonly #calls = new ToolCalls();
  #index = 0;
  #hasTools = false;
  #started = false;
  #finish: string | null = null;
  #refused = false;
  #matched: string | null = null;
  #usage: ChatUsage | undefined;
  #failure: RouterFailure | undefined;
  #ended = false;
  #outputChars = 0;
  /** The constant first part of a delta of the open block. */
  #deltaHead = "";

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  /** True when something was sent: a failure can no longer become an HTTP status. */
  get started(): boolean {
    return this.#started;
  }

  /** True when the answer is complete; only the usage may still come. */
  get finishing(): boolean {
    return this.#finish !== null;
  }

  /** True when the last event was sent. The rest of the upstream's stream is ignored. */
  get ended(): boolean {
    return this.#ended;
  }

  get source(): FailureSource {
    return this.#context.source;
  }

  get failure(): RouterFailure | undefined {
    return this.#failure;
  }

  get usage(): ChatUsage | undefined {
    return this.#usage;
  }

  /** Takes one `data:` field of the upstream and returns the resulting events as server-sent text. */
  push(data: string): string {
    if (this.#ended) return "";
    if (data === "[DONE]") return this.#started ? this.finish() : this.end();
    const chunk = parseJson(data);
    if (!isRecord(chunk)) {
      if (data.trim() === "") return "";
      return this.fail({ status: 502, message: `${this.#context.source.provider} sent a stream that is not JSON.` });
    }
    if (chunk["error"] !== undefined && chunk["error"] !== null && errorObject(chunk) !== undefined) {
      return this.fail(toFailure(200, data, this.#context.source));
    }
    const groq = chunk["x_groq"];
    if (isRecord(groq) && nonEmpty(groq["error"]) !== undefined) {
      return this.fail(toFailure(200, JSON.stringify({ error: groq["error"] }), this.#context.source));
    }
    const choice = firstChoice(chunk["choices"]);
    if (choice === undefined && chunk["choices"] === undefined && errorObject(chunk) !== undefined) {
      return this.fail(toFailure(200, data, this.#context.source));
    }
    const wasFinishing = this.finishing;
    const usage = chatUsageOf(chunk);
    if (usage !== undefined) this.#usage = usage;
    if (choice === undefined) {
      // A chunk with only usage after the finish reason is the last one.
      return wasFinishing && usage !== undefined ? this.finish() : this.#start();
    }
    return this.#start() + this.#choice(choice);
  }

  /** Ends the message normally, after `[DONE]` or after a close that follows a finish reason. Closes every open block. */
  finish(): string {
    if (this.#ended) return "";
    const finish = this.#refused ? "refusal" : this.#finish;
    const cut = toStop(finish, false, null).reason === "max_tokens";
    let out = this.#start();
    for (const block of this.#queue) out += this.#flush(block, true) + this.#close(block, cut);
    this.#queue.length = 0;
    this.#ended = true;
    const stop = toStop(finish, this.#hasTools, this.#matched);
    const usage = this.#usage ?? estimatedUsage(this.#context, this.#outputChars);
    const delta = {
      type: "message_delta",
      delta: { ...stopFields(stop), container: null },
      usage: toMessageUsage(usage),
    };
    return `${out}event: message_delta\ndata: ${JSON.stringify(delta)}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n`;
  }

  /** Streams the answer of a provider that answered in one piece although a stream was requested. */
  whole(body: unknown): string {
    const answer = toMessage(body, this.#context);
    if (!answer.ok) return this.fail(answer.failure);
    this.#started = true;
    this.#ended = true;
    this.#usage = answer.usage;
    return messageEvents(answer.message);
  }

  /**
   * Handles an upstream that closed without `[DONE]`. With a finish reason the answer is complete. Without one it was cut,
   * and a cut answer must never look complete.
   */
  end(): string {
    if (this.#ended || this.finishing) return this.finish();
    const provider = this.#context.source.provider;
    return this.fail(
      this.#started
        ? { status: 502, message: `${provider} closed the connection in the middle of its answer.` }
        : { status: 502, message: `${provider} answered with nothing.` },
    );
  }

  /** Ends the stream with an error event. Nothing follows it. */
  fail(failure: RouterFailure): string {
    if (this.#ended) return "";
    this.#ended = true;
    this.#failure = failure;
    return errorEvent(failure, this.#context.requestId);
  }

  #start(): string {
    if (this.#started) return "";
    this.#started = true;
    return `event: message_start\ndata: ${JSON.stringify({ type: "message_start", message: emptyMessage(this.#context) })}\n\n`;
  }

  #choice(choice: Json): string {
    if (isRecord(choice["error"])) return this.fail(toFailure(200, JSON.stringify(choice), this.#context.source));
    let out = "";
    if (isRecord(choice["delta"])) out += this.#delta(choice["delta"]);
    else if (isRecord(choice["message"])) out += this.#whole(choice["message"]);
    const finish = nonEmpty(choice["finish_reason"]);
    if (finish !== undefined) {
      const failed = failedFinish(finish);
      if (failed !== undefined) return out + this.fail(failed);
      // Some providers say `stop` once more after `tool_calls`.
      this.#finish ??= finish;
      this.#matched ??= matchedStop(choice, this.#context.stopSequences);
    }
    return out;
  }

  /** Handles a delta. One chunk may contain everything, in the order in which a model speaks: thinking, text, tools. */
  #delta(delta: Json): string {
    let out = "";
    const content = delta["content"];
    const split =
      typeof content === "string" || content === null || content === undefined ? undefined : splitContent(content);
    const thinking = split === undefined ? reasoningText(delta) : reasoningText(delta) + split.thinking;
    const details = delta["reasoning_details"];
    if (thinking !== "" || details !== undefined) out += this.#thinking(thinking, details);
    const text = split === undefined ? content : split.text;
    if (typeof text === "string" && text !== "") out += this.#prose("text", text);
    const refusal = nonEmpty(delta["refusal"]);
    if (refusal !== undefined) {
      this.#refused = true;
      out += this.#prose("text", refusal);
    }
    const calls = delta["tool_calls"];
    if (Array.isArray(calls)) for (const call of calls) if (isRecord(call)) out += this.#call(call);
    const legacy = delta["function_call"];
    if (isRecord(legacy)) out += this.#call({ index: 0, function: legacy });
    return out;
  }

  /** Handles a last chunk that repeats the whole message. Only the part that was not streamed before counts. */
  #whole(message: Json): string {
    const seen = this.#index > 0 || this.#queue.length > 0;
    if (!seen) return this.#delta(message);
    const missing = this.#calls.missing(asArray(message["tool_calls"]).filter(isRecord));
    return missing.length === 0 ? "" : this.#delta({ tool_calls: missing });
  }

  #thinking(text: string, details: unknown): string {
    const out = text === "" ? "" : this.#prose("thinking", text);
    if (!Array.isArray(details) || details.length === 0) return out;
    let last = this.#queue.at(-1);
    if (last === undefined && this.#index === 0) {
      last = { kind: "thinking", opened: false, pending: "", details: [] };
      this.#queue.push(last);
    }
    // Details that come after the thinking was closed have no block to go into.
    if (last?.kind === "thinking") mergeDetails(last.details, details);
    return out;
  }

  #prose(kind: "text" | "thinking", text: string): string {
    const last = this.#queue.at(-1);
    if (last?.kind === kind) {
      last.pending += text;
      return this.#queue.length === 1 ? this.#flush(last, false) : "";
    }
    this.#queue.push({ kind, opened: false, pending: text, details: [] });
    return this.#advance();
  }

  #call(entry: Json): string {
    const { block, isNew } = this.#calls.take(entry);
    if (isNew) this.#queue.push(block);
    return this.#advance();
  }

  /** Sends the first block's content, and moves on to the next block while the first can be closed. */
  #advance(): string {
    let out = "";
    for (;;) {
      const head = this.#queue[0];
      if (head === undefined) return out;
      out += this.#flush(head, false);
      const closable = head.kind !== "tool" || (head.name !== undefined && head.guard.complete);
      if (this.#queue.length === 1 || !closable) return out;
      out += this.#close(head, false);
      this.#queue.shift();
    }
  }

  #flush(block: Block, last: boolean): string {
    let out = "";
    if (!block.opened) {
      if (block.kind === "tool" ? block.name === undefined && !last : block.pending.trim() === "") return "";
      out = this.#open(block);
    }
    if (block.pending === "") return out;
    this.#outputChars += block.pending.length;
    out += `${this.#deltaHead}${JSON.stringify(block.pending)}}}\n\n`;
    block.pending = "";
    return out;
  }

  #open(block: Block): string {
    block.opened = true;
    const { start, delta, key } = this.#shape(block);
    this.#deltaHead = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${this.#index},"delta":{"type":"${delta}","${key}":`;
    return this.#blockStart(start);
  }

  #shape(block: Block): { start: Json; delta: string; key: string } {
    switch (block.kind) {
      case "text":
        return { start: { type: "text", text: "", citations: null }, delta: "text_delta", key: "text" };
      case "thinking":
        return { start: { type: "thinking", thinking: "", signature: "" }, delta: "thinking_delta", key: "thinking" };
      case "tool": {
        this.#hasTools = true;
        const id = this.#context.callIds.take(block.upstreamId, block.extra);
        const name = this.#context.names.restore(block.name ?? UNNAMED_TOOL);
        const start = { type: "tool_use", id, name, input: {}, caller: { type: "direct" } };
        return { start, delta: "input_json_delta", key: "partial_json" };
      }
    }
  }

  /** Ends a block. A block without content leaves no trace. */
  #close(block: Block, cut: boolean): string {
    const signature = block.kind === "thinking" ? signatureOf(block.details) : UNSIGNED;
    let out = "";
    if (block.kind === "tool") {
      block.pending = block.guard.end({ cut });
      out += this.#flush(block, true);
    } else if (!block.opened) {
      if (signature === UNSIGNED) return "";
      out += this.#blockStart({ type: "redacted_thinking", data: signature });
    } else if (block.kind === "thinking") {
      const delta = { type: "content_block_delta", index: this.#index, delta: { type: "signature_delta", signature } };
      out += `event: content_block_delta\ndata: ${JSON.stringify(delta)}\n\n`;
    }
    out += `event: content_block_stop\ndata: {"type":"content_block_stop","index":${this.#index}}\n\n`;
    this.#index++;
    return out;
  }

  #blockStart(block: Json): string {
    const start = { type: "content_block_start", index: this.#index, content_block: block };
    return `event: content_block_start\ndata: ${JSON.stringify(start)}\n\n`;
  }
}

/** The first choice. One Message cannot show the others. */
function firstChoice(choices: unknown): Json | undefined {
  if (!Array.isArray(choices)) return undefined;
  const choice: unknown = choices[0];
  if (!isRecord(choice)) return undefined;
  return typeof choice["index"] === "number" && choice["index"] > 0 ? undefined : choice;
}
