import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Later } from "./later.ts";

let done: string[][] = [];
let later: Later<string>;

beforeEach(() => {
  done = [];
  later = new Later(100, (items) => void done.push([...items]));
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it("does what was added together, a little later", async () => {
  const works: Promise<void>[] = [];
  later.add("first", (work) => void works.push(work));
  await vi.advanceTimersByTimeAsync(60);
  later.add("second", (work) => void works.push(work));
  expect(done).toEqual([]);
  await vi.advanceTimersByTimeAsync(60);
  await Promise.all(works);
  expect(works).toHaveLength(1);
  expect(done).toEqual([["first", "second"]]);
});

it("does what waited for somebody who was ended, with what comes next", async () => {
  later.add("first", () => {});
  // As when the runtime ends a request and its timers with it.
  vi.clearAllTimers();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toEqual([]);
  later.add("second", () => {});
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toEqual([["first", "second"]]);
});

it("does at once what is asked for, and not again", async () => {
  later.add("first", () => {});
  await later.flush();
  expect(done).toEqual([["first"]]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toEqual([["first"]]);
});
