/**
 * Passes an upstream's Messages stream on to the client and guards it.
 *
 * - Bytes are unchanged and sent as complete events, so a stream that breaks never leaves half an event behind.
 * - After `keepAliveMs` of silence the client gets a keep-alive; after `idleMs` the stream ends in `event: error`.
 * - A stream that stops without `message_stop` ends in `event: error`, never as if it were complete.
 * - A keep-alive is a `ping` between blocks and an empty delta inside a block, because Claude Code ignores pings while a
 *   block is open.
 */
import { OVER } from "../base/effects.ts";
import { errorEvent, type RouterFailure } from "../base/errors.ts";
import { SseWatch } from "./sse-watch.ts";

const encoder = new TextEncoder();
const PING = encoder.encode('event: ping\ndata: {"type": "ping"}\n\n');

/** An upstream that has begun to stream. */
export interface StartedStream {
  /** Bytes already read from `reader`; they are sent first. */
  readonly first: readonly Uint8Array[];
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Frees the upstream connection. Called when the stream is no longer needed. */
  abort(): void;
}

/**
 * How a stream ended. `error`: in the upstream's own error event. `cut`: the upstream stopped in the middle. `stalled`: it
 * fell silent. `cancelled`: the client left. `failed`: the call failed before the upstream began.
 */
export type StreamEnd = "complete" | "error" | "cut" | "stalled" | "cancelled" | "failed";

/** Limits and callbacks of one guarded stream. */
export interface StreamGuardOptions {
  readonly idleMs: number;
  readonly keepAliveMs: number;
  readonly requestId: string;
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Called exactly once for every stream, before the client sees its end. */
  onEnd(end: StreamEnd, watch: SseWatch): void;
  /** Called at intervals while the stream is open. */
  onAlive(): void;
  /** True when the client has left: a read that fails then is not the upstream's fault. */
  isClientGone(): boolean;
  /** Called with each piece passed on, without keep-alives. The cache uses it. */
  onBytes?(bytes: Uint8Array): void;
}

/**
 * The client's stream for `opening`, which is a stream that has begun or the promise of one. While the promise is pending
 * the client gets pings. When it resolves to a failure the stream ends in `event: error`. `cancelOpening` is called when
 * the client leaves before the promise settles.
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
  /** Resolves when the upstream has begun. */
  readonly #begun = Promise.withResolvers<void>();
  #source: StartedStream | null = null;
  #closed = false;
  /** Bytes of an event that is not complete yet. */
  #held: Uint8Array[] = [];
  /** Time since when we wait for the upstream; null while the client is the slower one. */
  #waitingSince: number | null;
  /** Time when the client last got something. */
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

  /** Checks the time limits until the stream ends, with one timer per stream for any number of chunks. */
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

  /** Whether the client is waiting for the upstream. One that reads slowly still has something to read. */
  #owesSign(): boolean {
    return this.#source === null || this.#waitingSince !== null;
  }

  /** Passes on the complete events in `bytes`. True when the client got something. */
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

  /** Ends the client's stream after the upstream's last event. The upstream's connection no longer matters. */
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

  /** Gives the upstream a moment to close by itself, so that its connection can be reused. */
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

/** A delta that adds nothing, for the block types that allow one. */
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
