import type { SessionEvent } from "@gantry/protocol/event.ts";
import { describe, expect, it } from "vitest";
import { EventLog } from "./event-log.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

const requested = (input: number, output: number): SessionEvent => ({
  type: "span.model_request_end",
  model_request_start_id: "x",
  is_error: false,
  model_usage: {
    input_tokens: input,
    output_tokens: output,
    cache_creation_input_tokens: 1,
    cache_read_input_tokens: 2,
  },
});
const RUNNING: SessionEvent = { type: "session.status_running" };
const IDLE: SessionEvent = { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null };

/** Events by second. */
const STORY: readonly (readonly [number, SessionEvent])[] = [
  [1, RUNNING],
  [2, requested(10, 5)],
  [4, IDLE],
  [50, RUNNING],
  [51, requested(20, 7)],
  // It waits for an answer, which does not count as active.
  [53, IDLE],
  [90, RUNNING],
];

function begun() {
  const { sql, transaction } = memoryDatabase();
  const log = new EventLog(sql);
  const write = (story: readonly (readonly [number, SessionEvent])[]): void => {
    for (const [second, event] of story)
      transaction(() => log.append([{ id: "sevt", runId: "run_1", at: second * 1000, event }]));
  };
  return { sql, transaction, log, write };
}

const SUMS = { input_tokens: 30, output_tokens: 12, cache_creation_input_tokens: 2, cache_read_input_tokens: 4 };

describe("sums of a log", () => {
  it("are zero in the beginning", () => {
    const { log } = begun();
    expect(log.totals.activeMs(5)).toBe(0);
    expect(log.totals.usage()).toEqual({
      input_tokens: 0,
      output_tokens: 0,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
    });
  });

  it("are true at every moment", () => {
    const { log, write } = begun();
    const seen = STORY.map((each) => {
      write([each]);
      return [log.totals.activeMs(each[0] * 1000 + 500), log.totals.usage().output_tokens];
    });
    expect(seen).toEqual([
      [500, 0],
      [1500, 5],
      [3000, 5],
      [3500, 5],
      [4500, 12],
      [6000, 12],
      [6500, 12],
    ]);
    expect(log.totals.usage()).toEqual(SUMS);
  });

  it("are computed from the log when there are none yet", () => {
    const { sql, log, write } = begun();
    write(STORY);
    sql.exec("DELETE FROM totals");
    expect(log.totals.usage()).toEqual(SUMS);
    sql.exec("DELETE FROM totals");
    write([[95, requested(1, 1)]]);
    expect(log.totals.usage()).toMatchObject({ input_tokens: 31, output_tokens: 13 });
    expect(log.totals.activeMs(96_000)).toBe(12_000);
  });

  it("do not change when the events are not kept", () => {
    const { log, write, transaction } = begun();
    write(STORY);
    expect(() =>
      transaction(() => {
        log.append([{ id: "sevt", runId: null, at: 95_000, event: requested(1, 1) }]);
        throw new Error("full");
      }),
    ).toThrow("full");
    expect(log.totals.usage()).toEqual(SUMS);
  });
});
