import { describe, expect, it } from "vitest";
import { Admission } from "./admission.ts";
import type { Pass, StartReason } from "./admission.ts";

/** Requests starts by name. Records the order of admission, and how many starts each one had to wait for. */
function setUp(startsAtOnce: number, maxEngines: number, makeRoom: (reason: StartReason) => void = () => {}) {
  const admission = new Admission({ startsAtOnce, maxEngines, makeRoom });
  const order: string[] = [];
  const positions: Record<string, number> = {};
  const passes: Record<string, Pass> = {};
  const aborts: Record<string, AbortController> = {};
  const enter = (name: string, reason: StartReason = "run"): void => {
    const abort = (aborts[name] = new AbortController());
    void admission
      .enter(reason, abort.signal, (position) => (positions[name] = position))
      .then((pass) => {
        if (pass) [passes[name]] = [pass, order.push(name)];
        else order.push(`not ${name}`);
      });
  };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { admission, order, positions, passes, aborts, enter, settled };
}

describe("admission of engine starts", () => {
  it("lets a fixed number start at once, and the others in order of arrival", async () => {
    const { admission, order, positions, passes, enter, settled } = setUp(2, 10);
    for (const name of ["a", "b", "c", "d"]) enter(name);
    await settled();
    expect(order).toEqual(["a", "b"]);
    expect(positions).toEqual({ c: 0, d: 1 });
    expect(admission.counts).toEqual({ engines: 2, starting: 2, waiting: 2, max: 10 });
    passes["a"]?.started();
    passes["a"]?.started();
    await settled();
    expect(order).toEqual(["a", "b", "c"]);
    passes["b"]?.gone();
    await settled();
    expect(order).toEqual(["a", "b", "c", "d"]);
    expect(admission.counts).toEqual({ engines: 3, starting: 2, waiting: 0, max: 10 });
  });

  it("prefers a run to a warm-up, and a warm-up to a spare", async () => {
    const { order, passes, enter, settled } = setUp(1, 10);
    for (const [name, reason] of [
      ["first", "run"],
      ["spare", "pool"],
      ["warm", "warm"],
      ["run", "run"],
      ["run 2", "run"],
    ] as const)
      enter(name, reason);
    for (let each = 0; each < 5; each++) {
      await settled();
      passes[order.at(-1) ?? ""]?.started();
    }
    expect(order).toEqual(["first", "run", "run 2", "warm", "spare"]);
  });

  it("asks for room when the limit is reached, and continues when an engine is gone", async () => {
    const asked: StartReason[] = [];
    const { admission, order, passes, enter, settled } = setUp(2, 1, (reason) => asked.push(reason));
    enter("a");
    await settled();
    passes["a"]?.started();
    enter("b");
    await settled();
    expect([order, asked]).toEqual([["a"], ["run"]]);
    admission.pump();
    expect(asked).toEqual(["run", "run"]);
    passes["a"]?.gone();
    passes["a"]?.gone();
    await settled();
    expect(order).toEqual(["a", "b"]);
    expect(admission.counts).toMatchObject({ engines: 1, waiting: 0 });
  });

  it("forgets a start that was called off", async () => {
    const { admission, order, passes, aborts, enter, settled } = setUp(1, 10);
    for (const name of ["a", "b", "c"]) enter(name);
    aborts["b"]?.abort();
    await settled();
    expect(order).toEqual(["a", "not b"]);
    passes["a"]?.started();
    await settled();
    expect(order).toEqual(["a", "not b", "c"]);
    expect(admission.counts).toMatchObject({ waiting: 0, starting: 1 });
  });
});
