import { after } from "../base/guarded.ts";
import type { Frame, FramedEvent } from "@gantry/protocol/link.ts";

/** How long pieces of text are gathered into one frame, because each frame costs a commit and an ack. */
const GATHER_MS = 15;

/** Events that may wait that long, because a reader sees nothing of them before the text comes. */
const MAY_WAIT: ReadonlySet<string> = new Set([
  "event_delta",
  "event_start",
  "span.model_request_start",
  "span.model_request_end",
]);

/** A frame is sent when it reaches this length, because it must fit one message. */
const MAX_FRAME_CHARS = 250_000;

/** When more unacknowledged text than this is kept, previews are dropped. Messages, results and the end never are. */
const MAX_UNACKED_CHARS = 64_000_000;

/**
 * Numbered frames, kept until the session has stored them. A frame may be sent many times; by its number the session knows
 * whether it has it. The outbox lives as long as the runner has the session, across any number of links.
 */
export class Outbox {
  #nextFrame = 1;
  #unacked: { frame: Frame; chars: number }[] = [];
  #unackedChars = 0;
  #gathering: FramedEvent[] = [];
  #gatheringFor: string | null = null;
  #gatheringChars = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Id of the text whose piece was pushed last. */
  #lastText: string | null = null;
  /** Ids of texts whose preview lost a piece. The rest is dropped too, because it would not fit what was shown. */
  #givenUp = new Set<string>();
  readonly #send: (frame: Frame) => void;
  readonly #soon: (flush: () => void) => void;
  #flushing = false;

  /**
   * @param send passes a new frame to the link, if there is one. Must not throw.
   * @param soon calls back once all events that happened together are pushed, so that they share a frame and a commit.
   */
  constructor(send: (frame: Frame) => void, soon: (flush: () => void) => void = (flush) => flush()) {
    this.#send = send;
    this.#soon = soon;
  }

  /**
   * Adds an event of a run, or of none (null). The first piece of a text, which a reader is waiting for, and all important
   * events are sent at once. Later pieces wait up to 15 ms, so that several share a frame.
   */
  push(runId: string | null, event: FramedEvent): void {
    if (event.type === "event_delta" && this.#givenUp.has(event.event_id)) return;
    this.#givenUp.delete(event.id);
    if (this.#gathering.length > 0 && this.#gatheringFor !== runId) this.flush();
    this.#gatheringFor = runId;
    const last = this.#gathering.at(-1);
    if (event.type === "event_delta" && last?.type === "event_delta" && last.event_id === event.event_id) {
      const text = last.delta.content.text + event.delta.content.text;
      this.#gathering[this.#gathering.length - 1] = {
        ...last,
        delta: { ...last.delta, content: { type: "text", text } },
      };
      this.#gatheringChars += event.delta.content.text.length;
    } else {
      this.#gathering.push(event);
      this.#gatheringChars += JSON.stringify(event).length;
    }
    // A text that was shown in pieces may wait as well, because another event usually follows it.
    const mayWait = MAY_WAIT.has(event.type) || (event.type === "agent.message" && event.id === this.#lastText);
    const isFirstPiece = event.type === "event_delta" && event.event_id !== this.#lastText;
    if (event.type === "event_delta") this.#lastText = event.event_id;
    if (this.#gatheringChars > MAX_FRAME_CHARS) this.flush();
    else if (isFirstPiece || !mayWait) this.#flushSoon();
    else this.#timer ??= after("outbox", GATHER_MS, () => this.flush());
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#soon(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** Sends the events gathered so far as one frame. */
  flush(): void {
    const frame = this.#close();
    if (frame) this.#send(frame);
  }

  #close(): Frame | null {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#gathering.length === 0) return null;
    const frame: Frame = {
      type: "frame",
      frame: this.#nextFrame++,
      runId: this.#gatheringFor,
      events: this.#gathering,
    };
    this.#gathering = [];
    const chars = this.#gatheringChars;
    this.#gatheringChars = 0;
    this.#unacked.push({ frame, chars });
    this.#unackedChars += chars;
    if (this.#unackedChars > MAX_UNACKED_CHARS) this.#dropPreviews();
    return frame;
  }

  /** The frames after `after`, which is the last that the session has stored. They are sent again on a new link. */
  since(after: number): Frame[] {
    // Sending it separately would let it overtake older frames, and the session would see a gap.
    this.#close();
    // Acks may have been lost with the previous link.
    this.ack(after);
    return this.#unacked.map((kept) => kept.frame);
  }

  /** The session has stored all frames up to and including this one. */
  ack(frame: number): void {
    while (this.#unacked[0] && this.#unacked[0].frame.frame <= frame) {
      this.#unackedChars -= this.#unacked.shift()?.chars ?? 0;
    }
  }

  /** Number of the newest frame; 0 before the first. */
  get last(): number {
    return this.#nextFrame - 1;
  }

  /** Whether something is not stored yet. */
  get pending(): boolean {
    return this.#unacked.length > 0 || this.#gathering.length > 0;
  }

  #dropPreviews(): void {
    for (const kept of this.#unacked) {
      const events = (kept.frame.events as FramedEvent[]).filter((e) => {
        if (e.type === "event_delta") this.#givenUp.add(e.event_id);
        return e.type !== "event_delta" && e.type !== "event_start";
      });
      if (events.length === kept.frame.events.length) continue;
      kept.frame = { ...kept.frame, events };
      const chars = JSON.stringify(events).length;
      this.#unackedChars -= kept.chars - chars;
      kept.chars = chars;
    }
  }
}
