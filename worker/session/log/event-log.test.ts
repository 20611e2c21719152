import type { SessionEvent, StoredEvent } from "@gantry/protocol/event.ts";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventLog } from "./event-log.ts";
import type { NewEvent } from "./new-event.ts";
import type { Sql } from "../../storage/sql.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

const AT = Date.UTC(2026, 10, 21, 1, 2, 3, 4);
const prompt = (text: string): SessionEvent => ({ type: "user.message", content: [{ type: "text", text }] });
let count = 0;
const entry = (event: SessionEvent, fields: Partial<NewEvent> = {}): NewEvent => ({
  id: `sevt_${++count}`,
  runId: "run_1",
  at: AT,
  event,
  ...fields,
});
const said = (...texts: string[]): NewEvent[] => texts.map((text) => entry(prompt(text)));

function newLog(): { log: EventLog; sql: Sql } {
  const { sql } = memoryDatabase();
  return { log: new EventLog(sql), sql };
}

const read = (lines: readonly string[]): StoredEvent[] => lines.map((line) => JSON.parse(line) as StoredEvent);

describe("writing", () => {
  it("numbers events without a gap, over any number of calls and objects", () => {
    const { log, sql } = newLog();
    expect(log.last()).toBe(0);
    expect(log.append(said("a", "b"))).toBe(2);
    expect(log.append([])).toBe(2);
    expect(new EventLog(sql).append(said("c"))).toBe(3);
    expect(log.last()).toBe(3);
    expect(read(log.after(0, 10).lines).map((event) => event.seq)).toEqual([1, 2, 3]);
  });

  it("reuses the numbers of a rolled-back transaction", () => {
    const { sql, transaction } = memoryDatabase();
    const log = new EventLog(sql);
    log.append(said("a"));
    expect(() =>
      transaction(() => {
        log.append(said("lost", "x".repeat(1_200_000)));
        throw new Error("disk");
      }),
    ).toThrow("disk");
    expect(log.append(said("b"))).toBe(2);
    expect(read(log.after(0, 10).lines).map((event) => event.seq)).toEqual([1, 2]);
    expect(sql.exec("SELECT * FROM event_parts").toArray()).toEqual([]);
  });
});

/** Texts that are hard to quote, to split and to encode. */
const TEXTS: [string, string][] = [
  ["plain", "hello"],
  ["empty", ""],
  ["quotes and line ends", 'a"b\\c\nd\re\u2028f\u2029'],
  ["a null byte", "a\0b"],
  ["letters of two, three and four bytes", "é漢😀"],
  ["half a letter of four bytes", "a\ud83d"],
  ["something that looks like the end of its line", '","run_id":"run_2"}\n{"type":"run.ended"'],
  ["a million letters", "x".repeat(1_000_000)],
  ["a million letters of three bytes", "漢".repeat(1_000_000)],
  ["a million letters of four bytes", "😀".repeat(500_000)],
  ["the same, cut at the other halves", `x${"😀".repeat(500_000)}`],
  ["ten megabytes", `${"x".repeat(10_485_750)}😀`],
];

describe("reading what was written", () => {
  it.each(TEXTS)("%s", (_name, text) => {
    const { log, sql } = newLog();
    const event = prompt(text);
    const seq = log.append([entry(event, { id: "sevt_x" })]);
    const [line = ""] = log.after(0, 1).lines;
    expect(line).not.toContain("\n");
    const { type, content } = JSON.parse(line) as { type: string; content: unknown };
    // Compared as text: a difference of megabytes takes minutes to print.
    expect(JSON.stringify({ type, content }) === JSON.stringify(event)).toBe(true);
    const { type: _type, ...payload } = event;
    expect(log.payload(seq) === JSON.stringify(payload)).toBe(true);
    // Cloudflare refuses rows above two million bytes; the local runtime does not.
    for (const table of ["events", "event_parts"]) {
      for (const row of sql.exec(`SELECT LENGTH(CAST(data AS BLOB)) AS bytes FROM ${table}`).toArray())
        expect(row["bytes"]).toBeLessThan(2_000_000);
    }
  });

  it("returns any text, wherever it is split", () => {
    const { log } = newLog();
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", minLength: 1, maxLength: 5 }),
        fc.integer({ min: 499_900, max: 500_100 }),
        (unit, chars) => {
          const event = prompt(unit.repeat(Math.ceil(chars / unit.length)));
          const seq = log.append([entry(event)]);
          if (log.payload(seq) !== JSON.stringify({ content: (event as { content: unknown }).content }))
            throw new Error("differs");
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each<[string, NewEvent, object]>([
    [
      "an event of a run",
      entry(prompt("x"), { id: "sevt_a", runId: "run_9" }),
      {
        type: "user.message",
        id: "sevt_a",
        seq: 1,
        run_id: "run_9",
        processed_at: "2026-11-21T01:02:03.004Z",
        content: [{ type: "text", text: "x" }],
      },
    ],
    [
      "an event between runs, without fields of its own",
      entry({ type: "session.status_running" }, { id: "sevt_b", runId: null }),
      {
        type: "session.status_running",
        id: "sevt_b",
        seq: 1,
        run_id: null,
        processed_at: "2026-11-21T01:02:03.004Z",
      },
    ],
    [
      "an id full of quotes",
      entry({ type: "user.interrupt" }, { id: '"},{"\\' }),
      { type: "user.interrupt", id: '"},{"\\', seq: 1, run_id: "run_1", processed_at: "2026-11-21T01:02:03.004Z" },
    ],
    [
      "an event whose own fields are called like those of its header",
      entry({ type: "user.interrupt", id: "evil", at: 7 } as unknown as SessionEvent, { id: "sevt_c" }),
      { type: "user.interrupt", id: "sevt_c", seq: 1, run_id: "run_1", processed_at: "2026-11-21T01:02:03.004Z" },
    ],
  ])("as a line: %s", (_name, event, stored) => {
    const { log } = newLog();
    log.append([event]);
    const { lines } = log.after(0, 1);
    expect(read(lines)).toEqual([stored]);
    expect(lines[0]).toMatch(new RegExp(`^\\{"type":"${event.event.type}","id":`));
  });
});

describe("pages", () => {
  it.each<[after: number, limit: number, seqs: number[], last: number]>([
    [0, 10, [1, 2, 3, 4, 5], 5],
    [0, 2, [1, 2], 2],
    [2, 2, [3, 4], 4],
    [4, 2, [5], 5],
    [5, 2, [], 5],
    [9, 2, [], 9],
    [0, 0, [], 0],
  ])("after %i, at most %i", (after, limit, seqs, last) => {
    const { log } = newLog();
    log.append(said("a", "b", "c", "d", "e"));
    const page = log.after(after, limit);
    expect(read(page.lines).map((event) => event.seq)).toEqual(seqs);
    expect(page.last).toBe(last);
  });

  it("end early when events are large, and always hold one", () => {
    const { log } = newLog();
    const big = "x".repeat(900_000);
    log.append(said(big, big, big, big, "x".repeat(3_000_000), "small", "small"));
    const pages: number[][] = [];
    for (let after = 0; after < 7;) {
      const page = log.after(after, 100);
      pages.push(read(page.lines).map((event) => event.seq));
      expect(page.last).toBe(pages.at(-1)?.at(-1));
      after = page.last;
    }
    expect(pages).toEqual([
      [1, 2, 3],
      [4, 5],
      [6, 7],
    ]);
  });
});

describe("waking", () => {
  it("wakes every waiter once, at the next announcement", async () => {
    const { log } = newLog();
    const woken: string[] = [];
    const wait = async (name: string): Promise<void> => {
      await log.changed();
      woken.push(name);
    };
    const first = Promise.all([wait("a"), wait("b")]);
    log.append(said("x"));
    await Promise.resolve();
    expect(woken).toEqual([]);
    log.announce();
    await first;
    expect(woken).toEqual(["a", "b"]);
    const second = wait("c");
    expect(woken).toEqual(["a", "b"]);
    log.announce();
    await second;
    expect(woken).toEqual(["a", "b", "c"]);
  });

  it("calls readers that cannot wait", () => {
    let told = 0;
    const log = new EventLog(memoryDatabase().sql, () => (told += 1));
    log.announce();
    log.announce();
    expect(told).toBe(2);
  });
});
