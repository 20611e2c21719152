import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { describe, expect, it } from "vitest";
import { RunQueue } from "./run-queue.ts";
import { createTables, tablesExist } from "./schema.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

const options: RunOptions = {
  model: "demo/claude",
  permissionMode: "acceptEdits",
  maxTurns: 3,
  allowedTools: ["Bash"],
};

function queueOf(...ids: string[]): RunQueue {
  const queue = new RunQueue(memoryDatabase().sql);
  ids.forEach((id, at) => queue.add({ id, trigger: "api", options, promptSeq: at + 1, now: 1_000 - at }));
  return queue;
}

describe("the queue", () => {
  it("is empty at first, and idle", () => {
    const queue = queueOf();
    expect([queue.running(), queue.next(), queue.get("run_a"), queue.queued(), queue.status()]).toEqual([
      null,
      null,
      null,
      0,
      "idle",
    ]);
  });

  it("stores a run unchanged", () => {
    expect(queueOf("run_a").next()).toEqual({
      id: "run_a",
      state: "queued",
      options,
      promptSeq: 1,
      sentTo: null,
      interruptRequested: false,
      wasParked: false,
    });
  });

  it("returns runs one at a time in the order of acceptance, whatever their ids and times", () => {
    const queue = queueOf("run_c", "run_a", "run_b");
    const order: string[] = [];
    for (let waiting = 3; waiting > 0; waiting--) {
      expect(queue.queued()).toBe(waiting);
      const id = queue.next()?.id ?? "";
      order.push(id);
      queue.start(id, 5);
      expect(queue.running()?.id).toBe(id);
      expect(queue.next()?.id).not.toBe(id);
      queue.end(id, 6);
      expect(queue.running()).toBeNull();
    }
    expect(order).toEqual(["run_c", "run_a", "run_b"]);
    expect(queue.next()).toBeNull();
  });

  it("refuses the same run twice", () => {
    const queue = queueOf("run_a");
    expect(() => queue.add({ id: "run_a", trigger: "api", options, promptSeq: 9, now: 1 })).toThrow(/UNIQUE/);
    expect(queue.queued()).toBe(1);
  });

  it.each<[string, (queue: RunQueue) => void, string]>([
    ["queued", () => {}, "queued"],
    ["started", (queue) => queue.start("run_a", 1), "running"],
    ["taken out before it began", (queue) => queue.end("run_a", 1), "ended"],
    ["ended", (queue) => (queue.start("run_a", 1), queue.end("run_a", 2)), "ended"],
    ["started after its end, which is for ever", (queue) => (queue.end("run_a", 1), queue.start("run_a", 2)), "ended"],
  ])("a run that is %s", (_name, act, state) => {
    const queue = queueOf("run_a");
    act(queue);
    expect(queue.get("run_a")?.state).toBe(state);
    expect(queue.running()?.id).toBe(state === "running" ? "run_a" : undefined);
  });

  it("remembers where a run was sent, that it was taken back, and that it must stop", () => {
    const queue = queueOf("run_a", "run_b");
    queue.start("run_a", 1);
    queue.sent("run_a", "rnr_1");
    expect(queue.running()?.sentTo).toBe("rnr_1");
    queue.sent("run_a", null);
    expect(queue.running()?.sentTo).toBeNull();
    queue.requestInterrupt("run_a", 2);
    expect(queue.running()?.interruptRequested).toBe(true);
    expect(queue.get("run_b")).toMatchObject({ sentTo: null, interruptRequested: false });
  });

  it("keeps the status that the log reported", () => {
    const queue = queueOf();
    queue.setStatus("running");
    expect(queue.status()).toBe("running");
    queue.setStatus("idle");
    expect(queue.status()).toBe("idle");
  });
});

describe("tables", () => {
  it("do not exist until they are created, and looking for them creates none", () => {
    const { sql } = memoryDatabase({ empty: true });
    expect(tablesExist(sql)).toBe(false);
    expect(sql.exec("SELECT COUNT(*) AS n FROM sqlite_master").toArray()).toEqual([{ n: 0 }]);
    createTables(sql);
    createTables(sql);
    expect(tablesExist(sql)).toBe(true);
  });
});
