/** Turns a message into the events of the Messages API, in order, with the pauses and faults that a step asks for. Pure. */
import type { ContentBlock, Message, WireUsage } from "./message.ts";
import { spelledOut } from "./message.ts";
import type { Step } from "./step.ts";

type Delta =
  | { type: "text_delta"; text: string }
  | { type: "thinking_delta"; thinking: string }
  | { type: "signature_delta"; signature: string }
  | { type: "input_json_delta"; partial_json: string };

type DeltaUsage = Pick<
  WireUsage,
  | "input_tokens"
  | "cache_creation_input_tokens"
  | "cache_read_input_tokens"
  | "output_tokens"
  | "output_tokens_details"
  | "server_tool_use"
>;

/** One event of a Messages stream. */
export type StreamEvent =
  | { type: "message_start"; message: Message }
  | { type: "content_block_start"; index: number; content_block: ContentBlock }
  | { type: "ping" }
  | { type: "content_block_delta"; index: number; delta: Delta }
  | { type: "content_block_stop"; index: number }
  | {
      type: "message_delta";
      delta: Pick<Message, "stop_reason" | "stop_sequence" | "stop_details" | "container">;
      usage: DeltaUsage;
    }
  | { type: "message_stop" };

/** What a stream does next: send an event, wait, send an error, or break off. */
export type StreamAction =
  | { readonly do: "send"; readonly event: StreamEvent }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "error"; readonly type: NonNullable<Step["streamError"]> }
  | { readonly do: "cut" };

/** The fields of a step that control a stream's speed and faults. */
export type Pacing = Pick<Step, "chunk" | "chunkMs" | "stallAfter" | "stallMs" | "cutAfter" | "streamError">;

const DEFAULT_CHUNK = 40;
/** Longer than any idle limit, because a stall without `stallMs` lasts for good. */
const DEFAULT_STALL_MS = 600_000;

/** The actions of an answer's stream, generated lazily. The deltas together are the message's content. */
export function* streamActions(message: Message, pacing: Pacing): Generator<StreamAction> {
  const send = (event: StreamEvent): StreamAction => ({ do: "send", event });
  const size = pacing.chunk ?? DEFAULT_CHUNK;
  let sent = 0;
  const startUsage = { ...message.usage, output_tokens: Math.min(1, message.usage.output_tokens) };
  yield send({ type: "message_start", message: { ...message, content: [], stop_reason: null, usage: startUsage } });
  if (message.content.length === 0) yield* faultAfter(sent, pacing);
  for (const [index, block] of message.content.entries()) {
    yield send({ type: "content_block_start", index, content_block: emptied(block) });
    if (index === 0) {
      yield send({ type: "ping" });
      yield* faultAfter(sent, pacing);
    }
    for (const piece of pieces(spelledOut(block), size)) {
      if (pacing.chunkMs) yield { do: "wait", ms: pacing.chunkMs };
      yield send({ type: "content_block_delta", index, delta: toDelta(block, piece) });
      sent++;
      yield* faultAfter(sent, pacing);
    }
    if (block.type === "thinking") {
      yield send({
        type: "content_block_delta",
        index,
        delta: { type: "signature_delta", signature: block.signature },
      });
    }
    yield send({ type: "content_block_stop", index });
  }
  if (pacing.streamError !== undefined) {
    yield { do: "error", type: pacing.streamError };
    return;
  }
  const { stop_reason, stop_sequence, stop_details, container } = message;
  const { cache_creation: _, inference_geo: _geo, service_tier: _tier, speed: _speed, ...usage } = message.usage;
  yield send({ type: "message_delta", delta: { stop_reason, stop_sequence, stop_details, container }, usage });
  yield send({ type: "message_stop" });
}

function* faultAfter(sent: number, pacing: Pacing): Generator<StreamAction> {
  if (pacing.stallAfter === sent) yield { do: "wait", ms: pacing.stallMs ?? DEFAULT_STALL_MS };
  if (pacing.cutAfter === sent) yield { do: "cut" };
}

/** Cuts a text into pieces, but never a surrogate pair, because half a character is not valid UTF-8. */
function* pieces(text: string, size: number): Generator<string> {
  for (let from = 0; from < text.length;) {
    let to = from + size;
    const code = text.charCodeAt(to - 1);
    if (to < text.length && code >= 0xd800 && code <= 0xdbff) to++;
    yield text.slice(from, to);
    from = to;
  }
}

function emptied(block: ContentBlock): ContentBlock {
  switch (block.type) {
    case "thinking":
      return { ...block, thinking: "", signature: "" };
    case "text":
      return { ...block, text: "" };
    case "tool_use":
      return { ...block, input: {} };
  }
}

function toDelta(block: ContentBlock, piece: string): Delta {
  switch (block.type) {
    case "thinking":
      return { type: "thinking_delta", thinking: piece };
    case "text":
      return { type: "text_delta", text: piece };
    case "tool_use":
      return { type: "input_json_delta", partial_json: piece };
  }
}
