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

it("processes items that were added close together in one batch", async () => {
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

it("processes items whose request was ended together with the next item", async () => {
  later.add("first", () => {});
  // The runtime ends a request together with its timers.
  vi.clearAllTimers();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toEqual([]);
  later.add("second", () => {});
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toEqual([["first", "second"]]);
});

it("flushes at once, and processes no item twice", async () => {
  later.add("first", () => {});
  await later.flush();
  expect(done).toEqual([["first"]]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(done).toEqual([["first"]]);
});
