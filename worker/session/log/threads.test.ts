import type { SessionEvent } from "@gantry/protocol/event.ts";
import { describe, expect, it } from "vitest";
import { memoryDatabase } from "../testing/sqlite.ts";
import { Threads } from "./threads.ts";

const usage = (input: number): Parameters<Threads["count"]>[1] => ({
  input_tokens: input,
  output_tokens: 1,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
});
const created = (task: string): SessionEvent => ({
  type: "session.thread_created",
  session_thread_id: `sthr_${task}`,
  workflow_run_id: null,
  tool_use_id: null,
  parent_thread_id: "sthr_primary",
  agent_name: "helper",
  task_id: task,
  peer_session_id: null,
});

function threadsOf(): { threads: Threads; start: (task: string) => void; rows: () => number } {
  const { sql } = memoryDatabase();
  const threads = new Threads(sql);
  return {
    threads,
    start: (task) => threads.note([{ id: `sevt_${task}`, runId: null, at: 1, event: created(task) }]),
    rows: () => Number(sql.exec("SELECT COUNT(*) AS n FROM thread_usage").toArray()[0]?.["n"]),
  };
}

describe("sec/low-6 an agent id that a sandbox claims counts only with a thread of that id", () => {
  it("the tokens of made-up agents are on no total", () => {
    const { threads, start } = threadsOf();
    start("real");
    threads.count("real", usage(10));
    for (let n = 0; n < 60; n++) threads.count(`made-up-${n}`, usage(1_000));
    expect(threads.usage()).toMatchObject({ input_tokens: 10, output_tokens: 1 });
    expect(threads.usage("made-up-1")).toMatchObject({ input_tokens: 0 });
    expect(threads.usage("real")).toMatchObject({ input_tokens: 10 });
  });

  it("a call that ends before its thread is in the log is counted", () => {
    const { threads, start } = threadsOf();
    threads.count("early", usage(7));
    start("early");
    threads.count("early", usage(3));
    expect(threads.usage("early")).toMatchObject({ input_tokens: 10, output_tokens: 2 });
  });

  it("the rows have a limit, and those that are there go on counting", () => {
    const { threads, start, rows } = threadsOf();
    start("first");
    threads.count("first", usage(1));
    for (let n = 0; n < 1_200; n++) threads.count(`made-up-${n}`, usage(1));
    threads.count("first", usage(1));
    expect(rows()).toBe(1_000);
    expect(threads.usage()).toMatchObject({ input_tokens: 2 });
  });
});
