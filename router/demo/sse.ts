/** Plays stream actions as server-sent events, at the pace of the reader. */
import type { ErrorType } from "../base/errors.ts";
import { errorEvent } from "../base/errors.ts";
import type { Pacing } from "./events.ts";
import { streamActions } from "./events.ts";
import type { Message, WireUsage } from "./message.ts";

/** Pause before a cut, because a broken stream discards what its reader has not taken yet. */
const CUT_GRACE_MS = 30;
/** Largest write, in characters; more would use memory the reader did not ask for. */
const BATCH_CHARACTERS = 16_384;

/** Effects and callbacks of one stream. */
export interface SseOptions {
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Aborts when the client leaves; the stream then fails with the signal's reason. */
  readonly signal: AbortSignal;
  readonly requestId: string;
  /** Called exactly once at the end of every stream, with the last usage that was sent. */
  readonly onEnd: (usage: WireUsage) => void;
}

/**
 * Plays the message. Nothing happens unless the reader pulls. When the signal aborts or the reader cancels, a wait ends at
 * once and leaves no timer.
 */
export function toSse(message: Message, pacing: Pacing, options: SseOptions): ReadableStream<Uint8Array> {
  const { signal } = options;
  const actions = streamActions(message, pacing);
  const encoder = new TextEncoder();
  const over = new AbortController();
  const stop = AbortSignal.any([signal, over.signal]);
  let usage: WireUsage = { ...message.usage, output_tokens: 0 };
  /** A pause put off to the next pull, so that the text before it is read first. */
  let waitMs = 0;

  const end = (): void => {
    if (over.signal.aborted) return;
    over.abort();
    options.onEnd(usage);
  };

  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    let batch = "";
    const flush = (): void => {
      if (batch !== "") controller.enqueue(encoder.encode(batch));
      batch = "";
    };
    const close = (): void => {
      flush();
      end();
      controller.close();
    };
    if (waitMs > 0) await options.sleep(waitMs, stop);
    waitMs = 0;
    while (batch.length < BATCH_CHARACTERS) {
      stop.throwIfAborted();
      const next = actions.next();
      if (next.done) return close();
      const action = next.value;
      switch (action.do) {
        case "send":
          if (action.event.type === "message_start") usage = action.event.message.usage;
          if (action.event.type === "message_delta") usage = message.usage;
          batch += `event: ${action.event.type}\ndata: ${JSON.stringify(action.event)}\n\n`;
          break;
        case "wait":
          if (batch === "") {
            await options.sleep(action.ms, stop);
            break;
          }
          waitMs = action.ms;
          return flush();
        case "error":
          batch += scriptedError(action.type, options.requestId);
          return close();
        case "cut":
          flush();
          await options.sleep(CUT_GRACE_MS, stop);
          throw new Error("The scripted stream was cut.");
      }
    }
    flush();
  };

  return new ReadableStream<Uint8Array>(
    {
      start(controller): void {
        // Without this, a reader that does not pull would never see the abort, and its usage would not be counted.
        const fail = (): void => {
          controller.error(signal.reason);
          end();
        };
        if (signal.aborted) return fail();
        signal.addEventListener("abort", fail, { once: true, signal: over.signal });
      },
      async pull(controller): Promise<void> {
        try {
          await pull(controller);
        } catch (error) {
          end();
          throw error;
        }
      },
      cancel(): void {
        end();
      },
    },
    { highWaterMark: 0 },
  );
}

function scriptedError(type: ErrorType, requestId: string): string {
  return errorEvent({ status: 500, type, message: `Scripted stream error: ${type}.` }, requestId);
}
