import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Command, Frame, FramedEvent, PROTOCOL_VERSION, Report, isReadableBy } from "./link.ts";
import { MAX_MESSAGE_BYTES, MAX_MESSAGE_CHARS, MessageAssembler, toMessages } from "./link-messages.ts";
import type { RunStart } from "./link.ts";

function start(text: string): RunStart {
  return {
    type: "run.start",
    runId: "run_1",
    prompt: [{ type: "text", text }],
    options: { model: "demo/claude", permissionMode: "acceptEdits", maxTurns: 3 },
    engineSessionId: "5f0c6ad3-6cbb-4f0a-9d6e-000000000000",
    models: { baseUrl: "http://127.0.0.1:1", token: "t" },
    deadlineMs: 1,
  };
}

/** Sends messages through an assembler. None may be too large, and only the last one completes a value. */
function roundTrip(messages: readonly string[], assembler = new MessageAssembler()): unknown {
  expect(Math.max(...messages.map((message) => Buffer.byteLength(message)))).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
  const values = messages.map((message) => assembler.push(message));
  expect(values.slice(0, -1).every((value) => value === undefined)).toBe(true);
  return values.at(-1);
}

describe("messages in parts", () => {
  it("sends a small message as it is", () => {
    const messages = toMessages({ type: "ack", frame: 3 });
    expect(messages).toEqual(['{"type":"ack","frame":3}']);
    expect(roundTrip(messages)).toEqual({ type: "ack", frame: 3 });
  });

  const MB = 1024 * 1024;
  it.each([
    ["letters", "a".repeat(10 * MB)],
    ["quotes and backslashes, which double twice", '"\\'.repeat(5 * MB)],
    ["characters of three bytes", "漢".repeat(3 * MB)],
    ["surrogate pairs at every position", `a${"😀".repeat(4 * MB)}`],
    ["line breaks", "\n".repeat(10 * MB)],
  ])("carries ten megabytes of %s", (_name, text) => {
    const command = start(text);
    const messages = toMessages(command);
    expect(messages.length).toBeGreaterThan(1);
    expect(Command.parse(roundTrip(messages))).toEqual(command);
  });

  it("splits a message only above the limit", () => {
    const bare = JSON.stringify(start("")).length;
    expect(toMessages(start("a".repeat(MAX_MESSAGE_CHARS - bare)))).toHaveLength(1);
    const cut = toMessages(start("a".repeat(MAX_MESSAGE_CHARS - bare + 1)));
    expect(cut.length).toBeGreaterThan(1);
    expect(Command.parse(roundTrip(cut))).toMatchObject({ type: "run.start" });
    // The largest message in one piece just fits, even when all its characters have three bytes.
    const chinese = toMessages(start("漢".repeat(MAX_MESSAGE_CHARS - bare)));
    expect(chinese).toHaveLength(1);
    expect(Buffer.byteLength(chinese[0] ?? "")).toBeLessThanOrEqual(MAX_MESSAGE_BYTES);
  });

  it("restores the message, whatever its text is and wherever it is split", () => {
    // Units that are hard to split and to escape, repeated until the message needs parts.
    const unit = fc.string({ unit: "binary", minLength: 1, maxLength: 7 });
    const long = fc.tuple(unit, fc.integer({ min: 1, max: 1_300_000 })).map(([text, chars]) => {
      return text.repeat(Math.ceil(chars / text.length));
    });
    fc.assert(
      fc.property(fc.array(long, { minLength: 1, maxLength: 3 }), (texts) => {
        const assembler = new MessageAssembler();
        for (const text of texts) {
          const command = start(text);
          const got = roundTrip(toMessages(command), assembler);
          // Compared as text: a structural diff of megabytes takes minutes to print.
          if (JSON.stringify(got) !== JSON.stringify(command)) throw new Error("differs");
        }
      }),
      { numRuns: 20 },
    );
  });

  const parts = (): string[] => toMessages(start("x".repeat(1_200_000)));
  it.each<[string, (all: string[]) => string[]]>([
    ["a missing part", (all) => all.toSpliced(1, 1)],
    ["two swapped parts", (all) => [all[1] ?? "", all[0] ?? ""]],
    ["a part that comes twice", (all) => [all[0] ?? "", all[0] ?? ""]],
    ["a message that begins in the middle", (all) => all.slice(1)],
    ["a second message that begins before the first has ended", (all) => [...all.slice(0, 2), ...all]],
  ])("throws on %s", (_name, spoil) => {
    const spoilt = spoil(parts());
    const assembler = new MessageAssembler();
    expect(() => spoilt.forEach((message) => assembler.push(message))).toThrow(/part \d+ came after \d+ parts/);
  });

  it.each([
    ["text that is not JSON", "{"],
    ["a part without text", '{"type":"part","index":0,"of":2}'],
    ["more parts than allowed", '{"type":"part","index":0,"of":201,"text":"x"}'],
    ["parts of something that is not JSON", '{"type":"part","index":0,"of":1,"text":"{"}'],
  ])("throws on %s", (_name, message) => {
    expect(() => new MessageAssembler().push(message)).toThrow();
  });
});

describe("messages of a hostile peer", () => {
  const part = (index: number, of: number, text: string): string => JSON.stringify({ type: "part", index, of, text });

  it("sec/H1 are refused when they are nested too deep, whole or in parts", () => {
    const deep = `${'{"a":'.repeat(100)}1${"}".repeat(100)}`;
    expect(() => new MessageAssembler().push(deep)).toThrow("nested deeper");
    const assembler = new MessageAssembler();
    assembler.push(part(0, 2, deep.slice(0, 200)));
    expect(() => assembler.push(part(1, 2, deep.slice(200)))).toThrow("nested deeper");
  });

  it("sec/H1 are refused when a message or the sum of its parts is too long", () => {
    expect(() => new MessageAssembler().push(`"${"x".repeat(MAX_MESSAGE_BYTES)}"`)).toThrow("characters");
    const assembler = new MessageAssembler();
    const text = "x".repeat(1_000_000);
    expect(() => {
      for (let index = 0; index < 150; index++) assembler.push(part(index, 200, text));
    }).toThrow("more than 32000000 characters");
  });
});

describe("what a peer accepts", () => {
  it.each<[string, typeof Command | typeof Report, unknown, boolean]>([
    ["hello", Command, { type: "hello", protocol: 1, epoch: 4, cursor: { runnerId: "rnr_1", frame: 2 } }, true],
    ["hello without a cursor", Command, { type: "hello", protocol: 1, epoch: 4, cursor: null }, true],
    ["hello with half an epoch", Command, { type: "hello", protocol: 1, epoch: 0.5, cursor: null }, false],
    ["a start", Command, start("x"), true],
    ["a start with no turns", Command, { ...start("x"), options: { ...start("x").options, maxTurns: 0 } }, false],
    ["an unknown mode", Command, { ...start("x"), options: { ...start("x").options, permissionMode: "root" } }, false],
    ["an unknown command", Command, { type: "run.delete", runId: "run_1" }, false],
    ["a frame", Report, { type: "frame", frame: 1, runId: null, events: [] }, true],
    ["frame 0", Report, { type: "frame", frame: 0, runId: null, events: [] }, false],
    ["half a frame", Report, { type: "frame", frame: 1.5, runId: null, events: [] }, false],
    ["a frame without a run", Report, { type: "frame", frame: 1, events: [] }, false],
    ["an unknown report", Report, { type: "resign" }, false],
  ])("%s", (_name, schema, value, accepted) => {
    expect(schema.safeParse(value).success).toBe(accepted);
  });

  it("keeps the events of a frame unchanged", () => {
    const events = [{ type: "nonsense", deep: { er: [1] } }, "text", null];
    expect(Frame.parse({ type: "frame", frame: 1, runId: "run_1", events }).events).toEqual(events);
  });

  const message = { type: "agent.message", content: [{ type: "text", text: "x" }] };
  it.each<[string, unknown, boolean]>([
    ["an event", { id: "sevt_1", at: 1, ...message }, true],
    ["an event without an id", { at: 1, ...message }, false],
    ["an id that is too long", { id: "x".repeat(65), at: 1, ...message }, false],
    ["an event without a time", { id: "sevt_1", ...message }, false],
    ["a time before 1970", { id: "sevt_1", at: -1, ...message }, false],
    ["a time outside any calendar", { id: "sevt_1", at: -1e300, ...message }, false],
    ["an event that only the session may write", { id: "sevt_1", at: 1, type: "user.interrupt" }, false],
    ["an unknown outcome", { id: "sevt_1", at: 1, type: "run.ended", outcome: "excellent" }, false],
  ])("event of a runner: %s", (_name, value, accepted) => {
    expect(FramedEvent.safeParse(value).success).toBe(accepted);
  });
});

describe("the previous version", () => {
  const recorded = readFileSync(new URL("testing/protocol-1.ndjson", import.meta.url), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { to: "runner" | "session"; message: { type: string; events?: unknown[] } });

  it("is understood, message for message, as its session and runner sent them", () => {
    expect(new Set(recorded.map(({ message }) => message.type))).toEqual(
      new Set(["hello", "welcome", "run.start", "frame", "ack", "tool.answer", "run.interrupt"]),
    );
    for (const { to, message } of recorded) {
      expect((to === "runner" ? Command : Report).parse(message)).toEqual(message);
      for (const event of message.events ?? []) expect(FramedEvent.safeParse(event).success).toBe(true);
    }
  });

  it("gets no message that would make it close its link", () => {
    for (const { message } of recorded) expect(isReadableBy(1, message as Report)).toBe(true);
    const folder = { type: "folder", folder: "x" } as const;
    expect([isReadableBy(1, folder), isReadableBy(PROTOCOL_VERSION, folder)]).toEqual([false, true]);
  });
});
