import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { report, reportLater } from "./log.ts";

let written: unknown[] = [];

beforeEach(() => {
  written = [];
  vi.useFakeTimers();
  vi.spyOn(console, "log").mockImplementation((line: string) => {
    written.push((JSON.parse(line) as { event: unknown }).event);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it("writes reported lines at once and deferred lines later, in one batch", async () => {
  const works: Promise<void>[] = [];
  reportLater({ event: "first" }, (work) => void works.push(work));
  report({ event: "urgent" });
  reportLater({ event: "second" }, (work) => void works.push(work));
  expect(written).toEqual(["urgent"]);
  await vi.advanceTimersByTimeAsync(1_000);
  await Promise.all(works);
  expect(works).toHaveLength(1);
  expect(written).toEqual(["urgent", "first", "second"]);
});
