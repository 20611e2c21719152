/**
 * Watches a Messages stream without changing it: where events end, which block is open, what was billed, and whether the
 * message is complete. Works on bytes. The data of content deltas, nearly all of a stream, is never decoded.
 */
import { usageOf, type Usage } from "../base/usage.ts";

const LF = 0x0a;
const CR = 0x0d;

const EVENT_PREFIX = "event:";
const DATA_PREFIX = "data:";
/** Events whose data is not needed here. */
const DULL = new Set(["content_block_delta", "ping"]);
/** Approximate size of the JSON around the text of one content delta: `data: {"type":"content_block_delta","index":0,"delta":{...}}`. */
const DELTA_FRAME_BYTES = 80;
const BYTES_PER_TOKEN = 4;

/** An `event: error` of the upstream. */
export interface StreamError {
  readonly type: string;
  readonly message: string;
}

/** Watches one stream. */
export class SseWatch {
  /** The content block that is open, with its type (`text`, `tool_use`, ...) and index. */
  openBlock: { readonly index: number; readonly type: string } | null = null;
  /** `stop` after `message_stop`, `error` after an `event: error`, null before either. */
  ended: "stop" | "error" | null = null;
  error: StreamError | null = null;
  #usage: Record<string, unknown> = {};
  #deltaBytes = 0;

  #event = "";
  /** Data lines of the event being read, unless they are not needed. */
  #data: string[] = [];
  /** The unfinished line at the end of the last chunk. When `#carryWanted` is false, only its length is kept. */
  #carry: Uint8Array[] = [];
  #carryLength = 0;
  #carryWanted = true;
  readonly #decoder = new TextDecoder();

  /** What the upstream has said it billed so far. */
  get usage(): Usage | undefined {
    return usageOf(this.#usage);
  }

  /** Output tokens estimated from the bytes of deltas, for a stream that broke before it reported its usage. */
  get estimatedOutputTokens(): number {
    return Math.ceil(this.#deltaBytes / BYTES_PER_TOKEN);
  }

  /** True when all bytes so far form complete events. */
  get atBoundary(): boolean {
    return this.#carryLength === 0 && this.#event === "" && this.#data.length === 0;
  }

  /** Takes the next bytes. Returns how many of them belong to complete events; 0 when they complete none. */
  push(chunk: Uint8Array): number {
    let boundary = 0;
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      if (this.#line(chunk, start, end)) boundary = end + 1;
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return boundary;
  }

  /** Reports that the upstream closed. An event without its final blank line still counts. */
  finish(): void {
    if (this.#carryLength > 0) this.#line(new Uint8Array(), 0, 0);
    if (this.#event !== "" || this.#data.length > 0) this.#dispatch();
  }

  /** Reads one line, whose newline is at `end`. True when it was the blank line that ends an event. */
  #line(chunk: Uint8Array, start: number, end: number): boolean {
    const length = this.#carryLength + end - start;
    if (length === 0) return this.#dispatch();
    if (length === 1 && (this.#carryLength === 1 ? this.#carry[0]?.[0] : chunk[start]) === CR) {
      this.#dropCarry();
      return this.#dispatch();
    }
    if (this.#carryLength > 0 && !this.#carryWanted) {
      this.#count(length);
      this.#dropCarry();
      return false;
    }
    if (this.#carryLength === 0 && this.#isDull(chunk, start)) {
      this.#count(length);
      return false;
    }
    let line = "";
    for (const piece of this.#carry) line += this.#decoder.decode(piece, { stream: true });
    line += this.#decoder.decode(chunk.subarray(start, end));
    this.#dropCarry();
    if (line.endsWith("\r")) line = line.slice(0, -1);
    if (line.startsWith(EVENT_PREFIX)) this.#event = line.slice(EVENT_PREFIX.length).trim();
    else if (line.startsWith(DATA_PREFIX)) {
      if (DULL.has(this.#event)) this.#count(length);
      else this.#data.push(line.slice(DATA_PREFIX.length));
    }
    return false;
  }

  /** Whether this is the data of an event that is not read. Its first byte decides, because `event:` came before it. */
  #isDull(chunk: Uint8Array, start: number): boolean {
    return chunk[start] === 0x64 && DULL.has(this.#event);
  }

  #keep(rest: Uint8Array): void {
    if (this.#carryLength === 0) this.#carryWanted = !this.#isDull(rest, 0);
    // A copy, because the sender may reuse the chunk's memory.
    if (this.#carryWanted) this.#carry.push(rest.slice());
    this.#carryLength += rest.length;
  }

  #dropCarry(): void {
    this.#carry.length = 0;
    this.#carryLength = 0;
    this.#carryWanted = true;
  }

  #count(length: number): void {
    if (this.#event === "content_block_delta") this.#deltaBytes += Math.max(0, length - DELTA_FRAME_BYTES);
  }

  #dispatch(): true {
    const data = this.#data.length > 0 ? parse(this.#data.join("\n")) : undefined;
    if (data !== undefined) this.#read(data);
    this.#event = "";
    this.#data.length = 0;
    return true;
  }

  #read(data: Record<string, unknown>): void {
    switch (data["type"]) {
      case "message_start":
        this.#merge((data["message"] as Record<string, unknown> | undefined)?.["usage"]);
        break;
      case "content_block_start": {
        const block = data["content_block"] as { type?: unknown } | undefined;
        this.openBlock = { index: Number(data["index"]), type: String(block?.type) };
        break;
      }
      case "content_block_stop":
        this.openBlock = null;
        break;
      case "message_delta":
        this.#merge(data["usage"]);
        break;
      case "message_stop":
        this.ended = "stop";
        break;
      case "error": {
        const error = data["error"] as { type?: unknown; message?: unknown } | undefined;
        this.ended = "error";
        this.error = { type: text(error?.type) ?? "api_error", message: text(error?.message) ?? "" };
        break;
      }
      default:
        break;
    }
  }

  /** Usage in a stream is a running total: later values replace earlier ones. */
  #merge(usage: unknown): void {
    if (typeof usage !== "object" || usage === null) return;
    for (const [name, value] of Object.entries(usage)) if (value !== null) this.#usage[name] = value;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
