import type { Frame, FramedEvent } from "@gantry/protocol/link.ts";

/** How long pieces of text gather before they leave: a frame, a commit and an ack for each would cost more. */
const GATHER_MS = 15;

/** What may wait that long: nobody sees anything of it before the text comes. */
const MAY_WAIT: ReadonlySet<string> = new Set([
  "event_delta",
  "event_start",
  "span.model_request_start",
  "span.model_request_end",
]);

/** A frame that is being gathered leaves when it is this long: it travels in one message. */
const MAX_FRAME_CHARS = 250_000;

/** Unacknowledged text above which previews are given up. What matters (messages, results, the end) is never dropped. */
const MAX_UNACKED_CHARS = 64_000_000;

/**
 * Numbered frames, kept until the session says it has stored them. A frame may be sent many times; the number tells
 * the session what it has. Lives as long as the runner holds the session, over any number of links.
 */
export class Outbox {
  #nextFrame = 1;
  #unacked: { frame: Frame; chars: number }[] = [];
  #unackedChars = 0;
  #gathering: FramedEvent[] = [];
  #gatheringFor: string | null = null;
  #gatheringChars = 0;
  #timer: NodeJS.Timeout | null = null;
  /** The text of which a piece came last. */
  #lastText: string | null = null;
  /** Texts whose preview lost a piece: the rest of it would not fit on what was shown. */
  #givenUp = new Set<string>();
  readonly #send: (frame: Frame) => void;
  readonly #soon: (flush: () => void) => void;
  #leaving = false;

  /**
   * @param send hands a new frame to the link, if there is one. Must not throw.
   * @param soon calls back when what came at one time has been pushed: a frame for each of it would cost a commit each.
   */
  constructor(send: (frame: Frame) => void, soon: (flush: () => void) => void = (flush) => flush()) {
    this.#send = send;
    this.#soon = soon;
  }

  /**
   * Adds an event of a run (null: between runs). Pieces of a text after its first wait up to 15 ms for company; the
   * first piece, which somebody is waiting for, and everything of weight leave now.
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
    // A text that was shown in pieces may wait for company too, which mostly is what comes after it.
    const mayWait = MAY_WAIT.has(event.type) || (event.type === "agent.message" && event.id === this.#lastText);
    const isFirstPiece = event.type === "event_delta" && event.event_id !== this.#lastText;
    if (event.type === "event_delta") this.#lastText = event.event_id;
    if (this.#gatheringChars > MAX_FRAME_CHARS) this.flush();
    else if (isFirstPiece || !mayWait) this.#leave();
    else this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  #leave(): void {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#soon(() => {
      this.#leaving = false;
      this.flush();
    });
  }

  /** Closes the frame that is being gathered and sends it. */
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

  /** Everything after frame `after`, up to which the session has stored, to be sent again on a new link. */
  since(after: number): Frame[] {
    // Sent by itself it would overtake the older ones, and the session would take that for a gap.
    this.#close();
    // The acknowledgements may have been lost with the link before.
    this.ack(after);
    return this.#unacked.map((kept) => kept.frame);
  }

  /** The session has stored all frames up to this one. */
  ack(frame: number): void {
    while (this.#unacked[0] && this.#unacked[0].frame.frame <= frame) {
      this.#unackedChars -= this.#unacked.shift()?.chars ?? 0;
    }
  }

  /** Number of the newest frame; 0 when there was none. */
  get last(): number {
    return this.#nextFrame - 1;
  }

  /** Whether something waits to be stored. */
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
