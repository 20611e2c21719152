import { Frame } from "@gantry/protocol/link.ts";
import type { FramedEvent } from "@gantry/protocol/link.ts";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Outbox } from "./outbox.ts";

const message = (id: string, text = id): FramedEvent => ({
  id,
  at: 1,
  type: "agent.message",
  content: [{ type: "text", text }],
});
const begin = (id: string): FramedEvent => ({
  id: `${id}+`,
  at: 1,
  type: "event_start",
  event: { type: "agent.message", id },
});
const delta = (of: string, text: string): FramedEvent => ({
  id: `${of}~`,
  at: 1,
  type: "event_delta",
  event_id: of,
  delta: { type: "content_delta", index: 0, content: { type: "text", text } },
});

/** An outbox, and every frame it has sent. */
function outbox(): { box: Outbox; sent: Frame[] } {
  const sent: Frame[] = [];
  return { box: new Outbox((frame) => sent.push(frame)), sent };
}

/** Frames as `number:event,event`, where a delta shows its text. */
function shape(frames: readonly Frame[]): string[] {
  return frames.map((frame) => {
    const events = frame.events as FramedEvent[];
    const names = events.map((event) => (event.type === "event_delta" ? event.delta.content.text : event.id));
    return `${frame.frame}:${names.join(",")}`;
  });
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("gathering", () => {
  it.each<[string, (box: Outbox) => void, string[]]>([
    ["an event is sent at once", (box) => box.push("r", message("a")), ["1:a"]],
    ["the first piece of a text is sent at once", (box) => box.push("r", delta("m", "x")), ["1:x"]],
    [
      "together with its announcement",
      (box) => {
        box.push("r", begin("m"));
        box.push("r", delta("m", "x"));
      },
      ["1:m+,x"],
    ],
    [
      "later pieces wait",
      (box) => {
        for (const text of ["x", "y", "z"]) box.push("r", delta("m", text));
      },
      ["1:x"],
    ],
    [
      "pieces of one text are joined",
      (box) => {
        for (const text of ["x", "y", "z"]) box.push("r", delta("m", text));
        vi.advanceTimersByTime(20);
      },
      ["1:x", "2:yz"],
    ],
    [
      "pieces of two texts stay separate",
      (box) => {
        for (const of of ["m", "n", "m"]) box.push("r", delta(of, of));
        vi.advanceTimersByTime(20);
      },
      ["1:m", "2:n", "3:m"],
    ],
    [
      "an event is sent together with waiting pieces",
      (box) => {
        box.push("r", delta("m", "x"));
        box.push("r", delta("m", "y"));
        box.push("r", message("a"));
        vi.advanceTimersByTime(1_000);
      },
      ["1:x", "2:y,a"],
    ],
    [
      "a frame belongs to one run",
      (box) => {
        box.push("r", delta("m", "x"));
        box.push("s", delta("m", "y"));
        box.push(null, message("a"));
      },
      ["1:x", "2:y", "3:a"],
    ],
    [
      "a long text does not wait",
      (box) => {
        for (let i = 0; i < 300; i++) box.push("r", delta("m", "x".repeat(1_000)));
      },
      [`1:${"x".repeat(1_000)}`, `2:${"x".repeat(250_000)}`],
    ],
    ["an empty outbox sends nothing", (box) => box.flush(), []],
  ])("%s", (_name, act, wanted) => {
    const { box, sent } = outbox();
    act(box);
    expect(shape(sent)).toEqual(wanted);
    for (const frame of sent) expect(Frame.parse(frame)).toEqual(frame);
  });

  it("waits fifteen milliseconds from the first waiting piece, however many follow", () => {
    const { box, sent } = outbox();
    for (let ms = 0; ms < 60; ms += 5) {
      box.push("r", delta("m", "x"));
      vi.advanceTimersByTime(5);
    }
    expect(shape(sent)).toEqual(["1:x", "2:xxx", "3:xxx", "4:xxx"]);
  });

  it("does not modify pushed events", () => {
    const { box } = outbox();
    const first = delta("m", "x");
    box.push("r", first);
    box.push("r", delta("m", "y"));
    expect(first).toEqual(delta("m", "x"));
  });

  it("names the run in each frame", () => {
    const { box, sent } = outbox();
    box.push("r", message("a"));
    box.push(null, message("b"));
    expect(sent.map((frame) => frame.runId)).toEqual(["r", null]);
  });
});

describe("acknowledging", () => {
  const filled = (): { box: Outbox; sent: Frame[] } => {
    const made = outbox();
    for (const id of ["a", "b", "c", "d"]) made.box.push("r", message(id));
    return made;
  };

  it.each<[acked: number, after: number, again: string[]]>([
    [0, 0, ["1:a", "2:b", "3:c", "4:d"]],
    [0, 2, ["3:c", "4:d"]],
    [2, 0, ["3:c", "4:d"]],
    [2, 3, ["4:d"]],
    [4, 0, []],
    [4, 4, []],
    [99, 0, []],
    [0, 99, []],
  ])("acknowledged %i, asked after %i", (acked, after, again) => {
    const { box } = filled();
    box.ack(acked);
    expect(shape(box.since(after))).toEqual(again);
  });

  it("a new link's cursor acknowledges stored frames", () => {
    const { box } = filled();
    expect(box.since(4)).toEqual([]);
    expect(box.pending).toBe(false);
  });

  it("an older acknowledgement changes nothing", () => {
    const { box } = filled();
    box.ack(3);
    box.ack(1);
    expect(shape(box.since(0))).toEqual(["4:d"]);
  });

  it("is pending until everything is stored, and while it gathers", () => {
    const { box, sent } = filled();
    expect(box.pending).toBe(true);
    box.ack(4);
    expect(box.pending).toBe(false);
    box.push("r", delta("m", "x"));
    box.ack(5);
    box.push("r", delta("m", "y"));
    expect(box.pending).toBe(true);
    vi.advanceTimersByTime(20);
    expect(box.pending).toBe(true);
    box.ack(sent.at(-1)?.frame ?? 0);
    expect(box.pending).toBe(false);
  });

  it("sends gathered events on a new link in order, and once", () => {
    const { box, sent } = filled();
    box.push("r", delta("m", "x"));
    box.push("r", delta("m", "y"));
    expect(shape(box.since(2))).toEqual(["3:c", "4:d", "5:x", "6:y"]);
    // A separate frame would come before the older ones, as a gap.
    vi.advanceTimersByTime(1_000);
    expect(shape(sent)).toEqual(["1:a", "2:b", "3:c", "4:d", "5:x"]);
  });
});

describe("too much unacknowledged text", () => {
  it("drops only previews, from the oldest frames too, and keeps the numbers", () => {
    const { box } = outbox();
    box.push("r", begin("m"));
    box.push("r", message("a"));
    const text = "x".repeat(1_000_000);
    for (let i = 0; i < 66; i++) box.push("r", delta(`m${i}`, text));
    box.push("r", message("b"));
    const again = box.since(0);
    expect(again.map((frame) => frame.frame)).toEqual(Array.from({ length: 68 }, (_, i) => i + 1));
    const kept = again.flatMap((frame) => frame.events as FramedEvent[]);
    expect(kept.filter((event) => event.type === "agent.message").map((event) => event.id)).toEqual(["a", "b"]);
    expect(kept.filter((event) => event.type === "event_start")).toEqual([]);
    const chars = kept.reduce((sum, event) => sum + JSON.stringify(event).length, 0);
    expect(chars).toBeLessThan(64_000_000);
  });

  it("sends no more pieces of a text once one was dropped, but sends the text itself", () => {
    const { box, sent } = outbox();
    box.push("r", begin("m"));
    box.push("r", delta("m", "seen"));
    box.ack(1);
    for (let i = 0; i < 66; i++) box.push("r", delta("m", "x".repeat(1_000_000)));
    const before = sent.length;
    box.push("r", delta("m", "tail"));
    box.push("r", delta("n", "another"));
    box.push("r", message("m"));
    expect(shape(sent.slice(before))).toEqual([`${before + 1}:another`, `${before + 2}:m`]);
  });

  it("never drops messages, however long", () => {
    const { box } = outbox();
    const text = "x".repeat(1_000_000);
    for (let i = 0; i < 70; i++) box.push("r", message(`m${i}`, text));
    expect(box.since(0).flatMap((frame) => frame.events)).toHaveLength(70);
  });
});

/**
 * The session's side: it stores the next frame, acknowledges a repeated one again, and closes the link when a frame is missing.
 * A link carries frames up and acks down, in order, until it is cut at any point.
 */
class Reader {
  readonly stored: Frame[] = [];
  gaps = 0;
  link: { up: Frame[]; down: number[] } | null = null;

  receive(): void {
    const frame = this.link?.up.shift();
    if (!frame || !this.link) return;
    if (frame.frame > this.stored.length + 1) {
      this.gaps += 1;
      this.link = null;
      return;
    }
    if (frame.frame === this.stored.length + 1) this.stored.push(structuredClone(frame));
    this.link.down.push(this.stored.length);
  }
}

type Step =
  | { do: "push"; event: FramedEvent; runId: string | null }
  | { do: "wait"; ms: number }
  | { do: "flush" | "receive" | "acknowledge" | "cut" | "connect" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("push"), event: anEvent(), runId: fc.constantFrom("r", "s", null) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait"), ms: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("receive") }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("acknowledge") }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("connect", "cut", "flush") }) },
) as fc.Arbitrary<Step>;

function anEvent(): fc.Arbitrary<FramedEvent> {
  return fc.oneof(
    fc
      .record({ of: fc.constantFrom("m", "n"), text: fc.string({ maxLength: 3 }) })
      .map(({ of, text }) => delta(of, text)),
    fc.constantFrom("a", "b", "c").map((id) => message(id)),
    fc.constant(begin("m")),
  );
}

describe("any history", () => {
  it("delivers every event once and in order, and no new link begins with a gap", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const reader = new Reader();
        const pushed: { runId: string | null; event: FramedEvent }[] = [];
        const box = new Outbox((frame) => reader.link?.up.push(frame));
        const connect = (): void => {
          const link = { up: [] as Frame[], down: [] as number[] };
          reader.link = link;
          link.up.push(...box.since(reader.stored.length));
        };
        const acknowledge = (): void => {
          const acked = reader.link?.down.shift();
          if (acked !== undefined) box.ack(acked);
        };
        for (const now of steps) {
          switch (now.do) {
            case "push":
              pushed.push(now);
              box.push(now.runId, now.event);
              break;
            case "wait":
              vi.advanceTimersByTime(now.ms);
              break;
            case "flush":
              box.flush();
              break;
            case "receive":
              reader.receive();
              break;
            case "acknowledge":
              acknowledge();
              break;
            case "cut":
              reader.link = null;
              break;
            case "connect":
              connect();
              break;
            default:
              now satisfies never;
          }
        }
        connect();
        while (reader.link && reader.link.up.length > 0) reader.receive();
        while (reader.link && reader.link.down.length > 0) acknowledge();
        expect(reader.gaps).toBe(0);
        expect(box.pending).toBe(false);
        const received = reader.stored.flatMap((frame) =>
          (frame.events as FramedEvent[]).map((event) => ({ runId: frame.runId, event })),
        );
        expect(merged(received)).toEqual(merged(pushed));
      }),
      { numRuns: 500 },
    );
  });
});

/** Joins adjacent pieces of one text, so that both sides can be compared. */
function merged(entries: readonly { runId: string | null; event: FramedEvent }[]): string[] {
  const out: { key: string; text: string }[] = [];
  for (const { runId, event } of entries) {
    const isDelta = event.type === "event_delta";
    const key = `${runId} ${event.type} ${isDelta ? event.event_id : event.id}`;
    const text = isDelta ? event.delta.content.text : "";
    const last = out.at(-1);
    if (isDelta && last?.key === key) last.text += text;
    else out.push({ key, text });
  }
  return out.map(({ key, text }) => `${key} ${text}`);
}
