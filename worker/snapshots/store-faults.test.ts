import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { memoryDatabase } from "../session/testing/sqlite.ts";
import type { PackStore } from "./packs.ts";
import { SnapshotWorld } from "./testing/world.ts";
import type { TestSession } from "./testing/world.ts";

/** A real store behind a bad line: slow, torn in both directions, down, or silent for ever while the session's object dies. */

let world: SnapshotWorld;
beforeAll(async () => {
  world = await SnapshotWorld.start();
});
afterAll(() => world.stop());

const LINES = ["good", "slow", "torn", "down"] as const;
type Line = (typeof LINES)[number] | "silent";

/** Everything that passes a line. */
function behind(store: PackStore, line: () => Line): PackStore {
  const pass = async <T>(work: () => Promise<T>, torn: () => Promise<T>): Promise<T> => {
    const state = line();
    if (state === "down") throw new Error("down");
    if (state === "torn") return torn();
    if (state === "slow") await sleep(20);
    const result = await work();
    if (state === "slow") await sleep(20);
    // What was asked for has been done; nobody hears of it.
    if (state === "silent") return new Promise(() => {});
    return result;
  };
  const cut = async (work: Promise<unknown>): Promise<never> => {
    await work;
    throw new Error("the line broke");
  };
  return {
    ...store,
    hold: (pack) =>
      pass(
        () => store.hold(pack),
        () => cut(store.hold(pack)),
      ),
    put: (pack, contents) =>
      pass(
        () => store.put(pack, contents),
        () => cut(store.put(pack, contents.slice(0, contents.length / 2))),
      ),
    get: (pack, range) =>
      pass(
        () => store.get(pack, range),
        async () => (await store.get(pack, range))?.slice(0, -1) ?? null,
      ),
  };
}

type Step =
  | { readonly do: "change"; readonly size: number }
  | { readonly do: "save" | "lose"; readonly line: Line }
  | { readonly do: "die" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("change" as const), size: fc.constantFrom(0, 10, 300_000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("save" as const), line: fc.constantFrom(...LINES) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("lose" as const), line: fc.constantFrom(...LINES) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const) }) },
);

it("brings back one of the states that were saved, the newest, or nothing with an error", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 20 }), async (steps) => {
      let line: Line = "good";
      const database = memoryDatabase();
      const store = (real: PackStore): PackStore => behind(real, () => line);
      let session: TestSession = world.session({ database, store });
      const { id } = session;
      const base = world.folder(id);
      const files = ["one", "folder/two"].map((name) => join(base, "workspace", name));
      /** What the workspace holds, and what the newest save of it does. */
      let [now, saved] = ["", ""];
      const write = (text: string): void => {
        for (const part of ["workspace/folder", "engine/projects/p"]) mkdirSync(join(base, part), { recursive: true });
        for (const file of files) writeFileSync(file, text);
        now = text;
      };
      const newest = (): unknown => session.snapshots.tables.latest()?.id;
      const save = async (by: Line): Promise<void> => {
        line = by;
        const before = newest();
        await session.save();
        line = "good";
        if (newest() !== before) saved = now;
      };
      const lose = async (by: Line): Promise<void> => {
        rmSync(base, { recursive: true, force: true });
        line = by;
        const came = await session.restore().then(
          () => true,
          () => false,
        );
        line = "good";
        if (!came) {
          // Nothing is begun without the files, and with a good line they are all there.
          for (const file of files) expect(existsSync(file)).toBe(false);
          await session.restore();
        }
        for (const file of files) expect(readFileSync(file, "utf8")).toBe(saved);
        now = saved;
      };

      write("first");
      await save("good");
      expect(saved).toBe("first");
      for (const [n, each] of steps.entries()) {
        if (each.do === "change") write(`${n} ${"x".repeat(each.size)}`);
        else if (each.do === "save") await save(each.line);
        else if (each.do === "lose") await lose(each.line);
        else {
          // In the middle of a save that was put and never answered; another object goes on with what is stored.
          line = "silent";
          void session.save();
          await sleep(30);
          session = world.session({ id, database, store });
          line = "good";
        }
      }
      await save("good");
      saved = now;
      await lose("good");
    }),
    { numRuns: 25 },
  );
}, 120_000);
