import type { SessionEvent } from "@gantry/protocol/event.ts";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EventLog } from "./event-log.ts";
import { ASK_MS, HEARTBEAT_MS, streamLog } from "./stream.ts";
import type { StreamShape } from "./stream.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

let log: EventLog;
beforeEach(() => {
  vi.useFakeTimers();
  log = new EventLog(memoryDatabase().sql);
});
afterEach(() => void vi.useRealTimers());

let count = 0;
function write(...events: SessionEvent[]): void {
  log.append(events.map((event) => ({ id: `sevt_${++count}`, runId: "run_1", at: 0, event })));
  log.announce();
}
const said = (text: string): SessionEvent => ({ type: "user.message", content: [{ type: "text", text }] });
const END: SessionEvent = {
  type: "run.ended",
  outcome: "succeeded",
  result: "",
  error: null,
  usage: null,
  num_turns: 1,
  duration_ms: 1,
};
const NDJSON: StreamShape = { format: "ndjson", view: "all", previews: true, untilRun: "run_1", keyId: "key_1" };

/** A reader that asks for a piece at a time. "" stands for a heartbeat, `undefined` for the end. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }
  async next(): Promise<(number | "heartbeat")[] | undefined> {
    const { done, value } = await this.#reader.read();
    if (done) return undefined;
    const text = new TextDecoder().decode(value);
    expect(text.endsWith("\n")).toBe(true);
    const lines = text.slice(0, -1).split("\n");
    return lines.map((line) => (line === "" ? "heartbeat" : (JSON.parse(line) as { seq: number }).seq));
  }
  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}
const open = (
  after: number,
  shape: Partial<StreamShape> = {},
  mayReadOn = async (): Promise<boolean> => true,
): Reader => new Reader(streamLog(log, after, { ...NDJSON, ...shape }, mayReadOn));

describe("sec/H6 a stream whose key has ended", () => {
  it("ends at a heartbeat", async () => {
    let valid = true;
    const reader = open(0, {}, async () => valid);
    const first = reader.next();
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(await first).toEqual(["heartbeat"]);
    valid = false;
    const second = reader.next();
    await vi.advanceTimersByTimeAsync(ASK_MS);
    expect(await second).toEqual(["heartbeat"]);
    expect(await reader.next()).toBeUndefined();
  });

  it("ends although there is always something to send", async () => {
    const reader = open(0, {}, async () => false);
    let seen = 0;
    while (seen < 20) {
      write(said("x"));
      if ((await reader.next()) === undefined) break;
      seen += 1;
      await vi.advanceTimersByTimeAsync(5_000);
    }
    expect(seen).toBe(ASK_MS / 5_000);
  });
});

describe("a stream of the log", () => {
  it("begins after its cursor and continues live", async () => {
    write(said("a"), said("b"), said("c"));
    const reader = open(1);
    expect(await reader.next()).toEqual([2, 3]);
    const next = reader.next();
    write(said("d"));
    expect(await next).toEqual([4]);
  });

  it("ends with its run's end, and shows nothing after it", async () => {
    write(said("a"), END, said("of the next run"));
    const reader = open(0);
    expect(await reader.next()).toEqual([1, 2]);
    expect(await reader.next()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends with an end that comes later", async () => {
    const reader = open(0);
    const first = reader.next();
    write(said("a"));
    expect(await first).toEqual([1]);
    const second = reader.next();
    write(END, said("of the next run"));
    expect(await second).toEqual([2]);
    expect(await reader.next()).toBeUndefined();
  });

  it("does not end for a reader of everything", async () => {
    write(END);
    const reader = open(0, { untilRun: null });
    expect(await reader.next()).toEqual([1]);
    const next = reader.next();
    write(said("b"));
    expect(await next).toEqual([2]);
  });

  it("reads nothing ahead: a slow reader holds only its cursor", async () => {
    const after = vi.spyOn(log, "after");
    const reader = open(0);
    for (let i = 0; i < 1_000; i++) write(said("x"));
    await vi.advanceTimersByTimeAsync(10 * HEARTBEAT_MS);
    expect(after).not.toHaveBeenCalled();
    const seen: unknown[] = [];
    for (let pages = 0; pages < 5; pages++) seen.push(...((await reader.next()) ?? []));
    expect(seen).toEqual(Array.from({ length: 1_000 }, (_, at) => at + 1));
    expect(after).toHaveBeenCalledTimes(5);
  });

  it("sends heartbeats when nothing happens, so that a reader who left is noticed", async () => {
    write(said("a"));
    const reader = open(1);
    const beats: unknown[] = [];
    const reading = (async () => {
      for (let i = 0; i < 3; i++) beats.push(await reader.next());
    })();
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS - 1);
    expect(beats).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(beats).toEqual([["heartbeat"]]);
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(beats).toEqual([["heartbeat"], ["heartbeat"]]);
    write(said("b"));
    await reading;
    expect(beats).toEqual([["heartbeat"], ["heartbeat"], [2]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves no timer behind for a reader who goes away", async () => {
    const reader = open(0);
    const waiting = reader.next();
    await vi.advanceTimersByTimeAsync(5);
    expect(vi.getTimerCount()).toBe(1);
    await reader.cancel();
    expect(await waiting).toBeUndefined();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("misses no event between a look and the wait", async () => {
    const reader = open(0);
    const after = log.after.bind(log);
    // The event is written right after the log was read and found empty.
    vi.spyOn(log, "after").mockImplementationOnce((seq, limit) => {
      const page = after(seq, limit);
      write(said("late"));
      return page;
    });
    expect(await reader.next()).toEqual([1]);
  });

  it("ends only with the end of its own run", async () => {
    write(END);
    const reader = open(0, { untilRun: "run_2" });
    expect(await reader.next()).toEqual([1]);
    const next = reader.next();
    log.append([{ id: "sevt_end", runId: "run_2", at: 0, event: END }]);
    log.announce();
    expect(await next).toEqual([2]);
    expect(await reader.next()).toBeUndefined();
  });

  it("hides previews from readers who did not ask, and still sends heartbeats in time", async () => {
    const reader = open(0, { previews: false });
    const delta: SessionEvent = {
      type: "event_delta",
      event_id: "m",
      delta: { type: "content_delta", index: 0, content: { type: "text", text: "x" } },
    };
    const next = reader.next();
    for (let second = 0; second < HEARTBEAT_MS / 1000; second++) {
      write(delta);
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(await next).toEqual(["heartbeat"]);
    write(said("whole"));
    expect(await reader.next()).toEqual([HEARTBEAT_MS / 1000 + 1]);
  });

  it("is the same log as server-sent events", async () => {
    write(said("a"), said("b"));
    const stream = streamLog(log, 0, { ...NDJSON, format: "sse" }, async () => true).getReader();
    const { value } = await stream.read();
    const { lines } = log.after(0, 10);
    expect(new TextDecoder().decode(value)).toBe(
      lines.map((line, at) => `event: user.message\nid: ${at + 1}\ndata: ${line}\n\n`).join(""),
    );
    const beat = stream.read();
    await vi.advanceTimersByTimeAsync(HEARTBEAT_MS);
    expect(new TextDecoder().decode((await beat).value)).toBe(": \n\n");
    await stream.cancel();
  });

  it("is read once for all readers at one position", () => {
    write(said("a"));
    expect(log.after(0, 5)).toBe(log.after(0, 5));
    const before = log.after(0, 5);
    write(said("b"));
    expect(log.after(0, 5)).not.toBe(before);
    expect(log.after(0, 5).lines).toHaveLength(2);
  });

  it("serves many readers, each at its own position", async () => {
    write(said("a"), said("b"));
    const readers = [open(0), open(1), open(2)];
    const [first, second, third] = readers.map((reader) => reader.next());
    expect(await first).toEqual([1, 2]);
    expect(await second).toEqual([2]);
    write(said("c"));
    expect(await third).toEqual([3]);
    expect(await readers[0]?.next()).toEqual([3]);
  });
});
