import { request } from "node:http";
import { WebSocket } from "ws";

/** Clients of one session. Each counts the events it gets. */
export interface Listeners {
  /** Resolves when each has seen this many more since the last time. */
  until(events: number): Promise<void>;
  close(): void;
}

const WORD = '"type":"agent.message"';

/** By WebSocket: a frame holds any number of events. `word` is in each event, once. */
export async function byWebSocket(
  count: number,
  url: string,
  headers: Record<string, string>,
  word = WORD,
): Promise<Listeners> {
  const counter = new Counter(count);
  const sockets = Array.from({ length: count }, (_, at) => {
    const socket = new WebSocket(url, { headers, perMessageDeflate: false });
    socket.on("message", (data: Buffer) => counter.add(at, occurrences(data, word)));
    return socket;
  });
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("open", resolve))));
  return { until: (events) => counter.until(events), close: () => sockets.forEach((socket) => socket.terminate()) };
}

/** As lines of a response. */
export async function byLines(count: number, url: string, headers: Record<string, string>): Promise<Listeners> {
  const counter = new Counter(count);
  const calls = Array.from({ length: count }, (_, at) => {
    const call = request(url, { headers, agent: false });
    call.on("error", () => null);
    const begun = new Promise<void>((resolve) =>
      call.once("response", (response) => {
        response.on("error", () => null);
        let rest = Buffer.alloc(0);
        response.on("data", (chunk: Buffer) => {
          const data = Buffer.concat([rest, chunk]);
          counter.add(at, occurrences(data, WORD));
          // A word may be cut: the rest of a piece is searched again with the next one.
          rest = data.subarray(Math.max(0, data.length - WORD.length + 1));
        });
        resolve();
      }),
    );
    call.end();
    return { call, begun };
  });
  await Promise.all(calls.map(({ begun }) => begun));
  return { until: (events) => counter.until(events), close: () => calls.forEach(({ call }) => call.destroy()) };
}

function occurrences(data: Buffer, word: string): number {
  let found = 0;
  for (let at = data.indexOf(word); at >= 0; at = data.indexOf(word, at + word.length)) found += 1;
  return found;
}

class Counter {
  readonly #seen: number[];
  #wanted = Infinity;
  #done: (() => void) | null = null;
  #ready = 0;

  constructor(count: number) {
    this.#seen = Array.from({ length: count }, () => 0);
  }

  add(at: number, events: number): void {
    const before = this.#seen[at] ?? 0;
    this.#seen[at] = before + events;
    if (before < this.#wanted && before + events >= this.#wanted) this.#ready += 1;
    if (this.#ready === this.#seen.length) this.#done?.();
  }

  until(events: number): Promise<void> {
    this.#wanted = events;
    this.#seen.fill(0);
    this.#ready = 0;
    return new Promise((resolve) => (this.#done = resolve));
  }
}
