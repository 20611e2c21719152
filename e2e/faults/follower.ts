import { setTimeout as sleep } from "node:timers/promises";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { SOON_MS } from "../kit/gantry.ts";
import type { Gantry } from "../kit/gantry.ts";

/** How long one request waits for something new, and how long a client that was cut off waits before it asks again. */
const WAIT_SECONDS = 5;
const PAUSE_MS = 60;

/**
 * Reads a session's log as it grows, each event once, through every fault. For what the clients do; the auditor reads
 * the whole log for itself.
 */
export class Follower {
  /** What was read so far. */
  readonly log: StoredEvent[] = [];
  readonly #gantry: Gantry;
  readonly #sessionId: string;
  readonly #over = new AbortController();
  readonly #onEvent: (event: StoredEvent) => void;
  readonly #reading: Promise<void>;
  #wake: () => void = () => {};

  constructor(gantry: Gantry, sessionId: string, onEvent: (event: StoredEvent) => void) {
    this.#gantry = gantry;
    this.#sessionId = sessionId;
    this.#onEvent = onEvent;
    this.#reading = this.#read();
  }

  /** Waits for a minute until the log satisfies a condition. */
  async until(condition: (log: readonly StoredEvent[]) => boolean, what: string): Promise<void> {
    const deadline = Date.now() + SOON_MS;
    while (!condition(this.log)) {
      if (Date.now() > deadline) throw new Error(`waited a minute for ${what}`);
      // The moment is for the deadline: what is read wakes.
      await Promise.race([new Promise<void>((resolve) => (this.#wake = resolve)), sleep(500)]);
    }
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#reading;
  }

  async #read(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const events = await this.#next().catch(() => null);
      if (!events) {
        await sleep(PAUSE_MS);
        continue;
      }
      for (const event of events) {
        this.log.push(event);
        this.#onEvent(event);
      }
      if (events.length > 0) this.#wake();
    }
  }

  async #next(): Promise<StoredEvent[]> {
    const after = this.log.at(-1)?.seq ?? 0;
    const response = await this.#gantry.fetch(`/v1/sessions/${this.#sessionId}/events/stream?after=${after}`, {
      headers: { accept: "application/json", prefer: `wait=${WAIT_SECONDS}` },
      signal: AbortSignal.any([this.#over.signal, AbortSignal.timeout(SOON_MS)]),
    });
    if (!response.ok) throw new Error(`${response.status}`);
    return ((await response.json()) as { data: StoredEvent[] }).data;
  }
}
