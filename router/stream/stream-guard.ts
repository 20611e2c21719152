/**
 * What a client reads: an upstream's Messages stream, watched over.
 *
 * - Bytes go through unchanged, whole events at a time: a stream that breaks leaves no half event behind.
 * - Silence: after `keepAliveMs` the client gets a sign of life, after `idleMs` the stream ends in `event: error`.
 * - A stream that ends without `message_stop` ends in `event: error`, never as if it were finished.
 * - Signs of life are a `ping` between blocks and an empty delta of the open block's type within one, because Claude Code
 *   does not count pings while a block is open.
 */
import { OVER } from "../base/effects.ts";
import { errorEvent, type RouterFailure } from "../base/errors.ts";
import { SseWatch } from "./sse-watch.ts";

const encoder = new TextEncoder();
const PING = encoder.encode('event: ping\ndata: {"type": "ping"}\n\n');

/** An upstream that has begun to stream. */
export interface StartedStream {
  /** Bytes already taken from `reader`, to be sent first. */
  readonly first: readonly Uint8Array[];
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Frees the upstream connection; called when its stream is of no more use. */
  abort(): void;
}

/** How a stream ended. `cut`: the upstream stopped in the middle; `stalled`: it fell silent; `cancelled`: the client left. */
export type StreamEnd = "complete" | "error" | "cut" | "stalled" | "cancelled" | "failed";

export interface StreamGuardOptions {
  readonly idleMs: number;
  readonly keepAliveMs: number;
  readonly requestId: string;
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Called once, however the stream ends, before the client sees the end. */
  onEnd(end: StreamEnd, watch: SseWatch): void;
  /** Called now and then as long as the stream lives. */
  onAlive(): void;
  /** A read that fails because the client left is no fault of the upstream. */
  isClientGone(): boolean;
  /** Sees each piece that is sent on, signs of life left out: for the cache. */
  onBytes?(bytes: Uint8Array): void;
}

/**
 * A client's stream over `opening`: a stream that has begun, or the promise of one. While the promise is open the client
 * gets pings; when it settles with a failure the stream ends in `event: error`. `cancelOpening` ends the wait when the
 * client leaves before that.
 */
export function guardStream(
  opening: StartedStream | Promise<StartedStream | RouterFailure>,
  options: StreamGuardOptions,
  cancelOpening: () => void = () => undefined,
): ReadableStream<Uint8Array> {
  const guard = new Guard(options);
  return new ReadableStream<Uint8Array>({
    start(controller) {
      guard.controller = controller;
      if ("reader" in opening) guard.begin(opening);
      else {
        guard.send(PING);
        void opening.then(
          (result) => ("reader" in result ? guard.begin(result) : guard.fail("failed", result)),
          () => guard.fail("failed", { status: 500, message: "The call failed inside the router." }),
        );
      }
      void guard.keepWatch();
    },
    pull: () => guard.pull(),
    cancel() {
      if (!guard.isOpening) return guard.cancel();
      cancelOpening();
      return guard.cancel();
    },
  });
}

class Guard {
  controller!: ReadableStreamDefaultController<Uint8Array>;
  readonly #options: StreamGuardOptions;
  readonly #watch = new SseWatch();
  readonly #stop = new AbortController();
  /** Settles when the upstream has begun. */
  readonly #begun = Promise.withResolvers<void>();
  #source: StartedStream | null = null;
  #closed = false;
  /** Bytes of an event whose end has not come yet. */
  #held: Uint8Array[] = [];
  /** Since when the upstream owes us something; null while the client is the slow one. */
  #waitingSince: number | null;
  /** When the client last got something. */
  #lastSentAt: number;

  constructor(options: StreamGuardOptions) {
    this.#options = options;
    this.#lastSentAt = options.now();
    this.#waitingSince = null;
  }

  get isOpening(): boolean {
    return this.#source === null;
  }

  begin(source: StartedStream): void {
    if (this.#closed) {
      drop(source);
      return;
    }
    this.#source = source;
    for (const bytes of source.first) this.#forward(bytes);
    this.#begun.resolve();
  }

  /** Reads until there is something for the client. */
  async pull(): Promise<void> {
    if (this.#source === null) await this.#begun.promise;
    const source = this.#source;
    if (source === null || this.#closed) return;
    let sent = false;
    this.#waitingSince = this.#options.now();
    try {
      while (!sent && !this.#closed) {
        const { done, value } = await source.reader.read();
        if (this.#closed) return;
        if (done) return this.#upstreamClosed();
        this.#waitingSince = this.#options.now();
        sent = this.#forward(value);
      }
    } catch {
      if (!this.#closed)
        this.fail("cut", { status: 502, message: "The connection to the upstream broke in the middle of the answer." });
    } finally {
      this.#waitingSince = null;
    }
  }

  /** Ends the stream with an error event. */
  fail(end: StreamEnd, failure: RouterFailure): void {
    if (this.#closed) return;
    this.#finish(end);
    this.controller.enqueue(encoder.encode(errorEvent(failure, this.#options.requestId)));
    this.controller.close();
    if (this.#source !== null) drop(this.#source);
  }

  cancel(): void {
    if (this.#closed) return;
    this.#finish("cancelled");
    if (this.#source !== null) drop(this.#source);
  }

  /** Looks at the clock until the stream ends: one timer a stream, however many chunks. */
  async keepWatch(): Promise<void> {
    const { idleMs, keepAliveMs } = this.#options;
    while (!this.#closed) {
      const at = this.#options.now();
      const idleAt = (this.#waitingSince ?? at) + idleMs;
      const signAt = this.#owesSign() ? this.#lastSentAt + keepAliveMs : at + keepAliveMs;
      try {
        await this.#options.sleep(Math.max(1, Math.min(idleAt, signAt) - at), this.#stop.signal);
      } catch {
        return;
      }
      if (this.#closed) return;
      this.#options.onAlive();
      const then = this.#options.now();
      if (this.#waitingSince !== null && then - this.#waitingSince >= idleMs) {
        this.fail("stalled", {
          status: 504,
          message: `The upstream sent nothing for ${Math.round(idleMs / 1000)} s in the middle of the answer.`,
        });
        return;
      }
      if (this.#owesSign() && then - this.#lastSentAt >= keepAliveMs) this.send(signOfLife(this.#watch));
    }
  }

  send(bytes: Uint8Array): void {
    this.#lastSentAt = this.#options.now();
    this.controller.enqueue(bytes);
  }

  /** Only when the client waits for the upstream: one that reads slowly has enough to read. */
  #owesSign(): boolean {
    return this.#source === null || this.#waitingSince !== null;
  }

  /** Sends the whole events of `bytes` on. True when the client got something. */
  #forward(bytes: Uint8Array): boolean {
    const whole = this.#watch.push(bytes);
    if (whole === 0) {
      this.#held.push(bytes);
      return false;
    }
    for (const held of this.#held) this.#pass(held);
    this.#held = whole === bytes.length ? [] : [bytes.subarray(whole)];
    this.#pass(whole === bytes.length ? bytes : bytes.subarray(0, whole));
    if (this.#watch.ended !== null) this.#complete();
    return true;
  }

  #pass(bytes: Uint8Array): void {
    this.#options.onBytes?.(bytes);
    this.send(bytes);
  }

  /** The upstream said that the message is over (or that it failed): what it does with its connection is no matter now. */
  #complete(): void {
    if (this.#closed) return;
    this.#finish(this.#watch.ended === "error" ? "error" : "complete");
    this.controller.close();
    if (this.#source !== null) void this.#drain(this.#source);
  }

  #upstreamClosed(): void {
    this.#watch.finish();
    if (this.#watch.ended === null) {
      this.fail("cut", { status: 502, message: "The upstream ended its answer before the message was complete." });
      return;
    }
    for (const held of this.#held) this.#pass(held);
    this.#complete();
  }

  #finish(end: StreamEnd): void {
    this.#closed = true;
    this.#stop.abort(OVER);
    this.#begun.resolve();
    this.#options.onEnd(end, this.#watch);
  }

  /** Lets a well-behaved upstream close by itself, so that its connection can be used again. */
  async #drain(source: StartedStream): Promise<void> {
    const wait = new AbortController();
    const tooLate = this.#options.sleep(DRAIN_MS, wait.signal).then(
      () => true,
      () => true,
    );
    const closed = source.reader.read().then(
      ({ done }) => !done,
      () => true,
    );
    if (await Promise.race([closed, tooLate])) drop(source);
    wait.abort(OVER);
  }
}

const DRAIN_MS = 1_000;

function drop(source: StartedStream): void {
  source.abort();
  source.reader.cancel().catch(() => undefined);
}

function signOfLife(watch: SseWatch): Uint8Array {
  const delta = watch.openBlock === null ? undefined : emptyDelta(watch.openBlock.type);
  if (delta === undefined) return PING;
  const data = JSON.stringify({ type: "content_block_delta", index: watch.openBlock?.index, delta });
  return encoder.encode(`event: content_block_delta\ndata: ${data}\n\n`);
}

/** A delta that adds nothing, for blocks that have one. */
function emptyDelta(type: string): object | undefined {
  switch (type) {
    case "text":
      return { type: "text_delta", text: "" };
    case "thinking":
      return { type: "thinking_delta", thinking: "" };
    case "tool_use":
    case "server_tool_use":
    case "mcp_tool_use":
      return { type: "input_json_delta", partial_json: "" };
    default:
      return undefined;
  }
}
