import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { after, every, guard, guarded, isSafeToGoOn, logFailuresTo, soon } from "./guarded.ts";

const tick = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe("sec/H1 a failure in the runner", () => {
  const logged: Record<string, unknown>[] = [];
  const escaped = vi.fn();
  beforeEach(() => {
    logged.length = 0;
    escaped.mockClear();
    logFailuresTo((entry) => logged.push(entry));
    process.on("unhandledRejection", escaped);
    process.on("uncaughtException", escaped);
  });
  afterEach(() => {
    process.off("unhandledRejection", escaped);
    process.off("uncaughtException", escaped);
  });
  const fail = (): never => {
    throw new Error("hostile");
  };

  it.each<[string, () => unknown]>([
    ["a call", () => guard("kind", fail)],
    ["a promise that nobody awaits", () => guard("kind", () => Promise.reject(new Error("hostile")))],
    ["a listener", guarded("kind", fail)],
    ["a timer", () => after("kind", 1, fail)],
    ["an immediate", () => soon("kind", fail)],
  ])("in %s is logged and ends nothing", async (_name, enter) => {
    enter();
    await tick(20);
    expect(logged).toEqual([{ event: "guarded_failure", where: "kind", error: expect.stringContaining("hostile") }]);
    expect(escaped).not.toHaveBeenCalled();
  });

  it("in an interval does not end the series", async () => {
    const timer = every("kind", 2, fail);
    await tick(50);
    clearInterval(timer);
    expect(logged.length).toBeGreaterThan(2);
    expect(escaped).not.toHaveBeenCalled();
  });

  it("is repaired, and a failing repair is logged too", () => {
    const repair = vi.fn();
    guard("kind", fail, repair);
    expect(repair).toHaveBeenCalledOnce();
    guard("kind", fail, fail);
    expect(logged.map(({ where }) => where)).toEqual(["kind", "kind", "kind, repair"]);
  });

  it("that reached no handler is survived only after an operation of the system", () => {
    expect(isSafeToGoOn(Object.assign(new Error("EPIPE"), { syscall: "write", code: "EPIPE" }))).toBe(true);
    expect(isSafeToGoOn(Object.assign(new Error("x"), { code: "ERR_STREAM_DESTROYED" }))).toBe(true);
    for (const error of [new TypeError("x"), new RangeError("stack"), "text", null])
      expect(isSafeToGoOn(error)).toBe(false);
  });
});
