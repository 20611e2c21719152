/**
 * Reads a provider's stream and returns the translated text, one network read at a time. The client's reads drive it, so
 * a slow client slows the provider down and nothing accumulates in between.
 */
import { createParser } from "eventsource-parser";
import type { RouterFailure } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import type { Usage } from "../../base/usage.ts";
import { kindOf, notAnAnswer } from "./failure.ts";
import type { MessageStream } from "./stream.ts";
import { toUsage } from "./usage.ts";

/** How long to wait for the end of a stream after the answer is complete. */
const END_GRACE_MS = 2000;
/** Longest line of a stream, in characters. */
const LINE_LIMIT = 16 * 1024 * 1024;

/** Effects and callbacks of one pump. */
export interface PumpOptions {
  /** Aborts when the client leaves or a time limit passes. */
  readonly signal: AbortSignal;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Called at most once, at the end of the stream, if the provider said what it billed. */
  onUsage(usage: Usage): void;
}

/** Pumps one stream. */
export class StreamPump {
  readonly #options: PumpOptions;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #stream: MessageStream;
  readonly #decoder = new TextDecoder();
  readonly #parser: ReturnType<typeof createParser>;
  #out = "";
  /** The body up to its first event. Some providers answer without a stream even when asked for one. */
  #head = "";
  #events = 0;
  #reported = false;
  readonly #endWait = new AbortController();
  #endTimeout: Promise<ReadableStreamReadResult<Uint8Array>> | undefined;
  /** True when the upstream has ended or the client has left. */
  done = false;

  constructor(body: ReadableStream<Uint8Array>, stream: MessageStream, options: PumpOptions) {
    this.#options = options;
    this.#reader = body.getReader();
    this.#stream = stream;
    this.#parser = createParser({
      maxBufferSize: LINE_LIMIT,
      onEvent: (event) => {
        // An event without its final blank line counts only if its data is complete.
        if (this.done && event.data !== "[DONE]" && parseJson(event.data) === undefined) return;
        this.#events++;
        this.#head = "";
        this.#out += this.#stream.push(event.data);
      },
    });
  }

  get started(): boolean {
    return this.#stream.started;
  }

  get failure(): RouterFailure | undefined {
    return this.#stream.failure;
  }

  /** The text from the next read of the upstream, often none. Throws only when the caller's signal has aborted. */
  async read(): Promise<string> {
    let out: string;
    try {
      const whole = this.#stream.finishing || this.#stream.ended;
      const chunk = await (whole ? this.#readEnd() : this.#reader.read());
      out = chunk.done ? this.#close() : this.#take(chunk.value);
    } catch (error) {
      if (this.#options.signal.aborted) {
        await this.close();
        throw error;
      }
      // The socket broke. After a finish reason the answer is complete anyway.
      this.done = true;
      out = this.#stream.end();
    }
    if (this.#stream.ended) {
      this.#report();
      if (this.#stream.failure !== undefined) await this.close();
    }
    return out;
  }

  /** Frees the upstream's connection, at any point of the stream. */
  async close(reason?: unknown): Promise<void> {
    this.done = true;
    this.#endWait.abort();
    this.#report();
    await this.#reader.cancel(reason).catch(() => {});
  }

  #take(bytes: Uint8Array): string {
    if (this.#stream.ended) return "";
    const text = this.#decoder.decode(bytes, { stream: true });
    this.#out = "";
    if (this.#events === 0 && this.#head.length < LINE_LIMIT) this.#head += text;
    try {
      this.#parser.feed(text);
    } catch {
      // Only a line beyond LINE_LIMIT gets here.
      this.#out += this.#stream.fail(notAnAnswer("a line that never ends", this.#stream.source));
    }
    return this.#out;
  }

  #close(): string {
    this.done = true;
    this.#endWait.abort();
    if (this.#stream.ended) return "";
    this.#out = "";
    // The last event may lack its final blank line.
    this.#parser.feed(`${this.#decoder.decode()}\n\n`);
    if (this.#events > 0 || this.#head.trim() === "") return this.#out + this.#stream.end();
    const body = parseJson(this.#head);
    if (body !== undefined) return this.#stream.whole(body);
    return this.#stream.fail(
      notAnAnswer(kindOf(this.#head, "something that is not a stream of events"), this.#stream.source),
    );
  }

  /** Reads on after a complete answer. The provider gets a moment to send its usage and close, then it is cut off. */
  async #readEnd(): Promise<ReadableStreamReadResult<Uint8Array>> {
    this.#endTimeout ??= this.#options
      .sleep(END_GRACE_MS, AbortSignal.any([this.#options.signal, this.#endWait.signal]))
      .then(() => ({ done: true, value: undefined }) as const);
    const read = await Promise.race([this.#reader.read(), this.#endTimeout]);
    if (read.done) await this.#reader.cancel().catch(() => {});
    return read;
  }

  #report(): void {
    const usage = this.#stream.usage;
    if (this.#reported || usage === undefined) return;
    this.#reported = true;
    this.#options.onUsage(toUsage(usage));
  }
}
