import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { memoryDatabase } from "../session/testing/sqlite.ts";
import type { PackStore } from "./packs.ts";
import { SnapshotWorld } from "./testing/world.ts";
import type { TestSession } from "./testing/world.ts";

/** A real store behind a bad connection: slow, torn in both directions, down, or silent forever while the session's object dies. */

let world: SnapshotWorld;
beforeAll(async () => {
  world = await SnapshotWorld.start();
}, 60_000);
afterAll(() => world.stop());

const LINES = ["good", "slow", "torn", "down"] as const;
type Line = (typeof LINES)[number] | "silent";
const CALLS = ["hold", "put", "get"] as const;
type Call = (typeof CALLS)[number];

/** A store whose calls pass over a connection in this state. */
function behind(store: PackStore, line: (call: Call) => Line, onSilence: () => void): PackStore {
  const pass = async <T>(call: Call, work: () => Promise<T>, torn: () => Promise<T>): Promise<T> => {
    const state = line(call);
    if (state === "down") throw new Error("down");
    if (state === "torn") return torn();
    if (state === "slow") await sleep(20);
    const result = await work();
    if (state === "slow") await sleep(20);
    // The call was carried out, but its result never arrives.
    if (state === "silent") return new Promise(() => onSilence());
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
        "hold",
        () => store.hold(pack),
        () => cut(store.hold(pack)),
      ),
    put: (pack, contents) =>
      pass(
        "put",
        () => store.put(pack, contents),
        () => cut(store.put(pack, contents.slice(0, contents.length / 2))),
      ),
    get: (pack, range) =>
      pass(
        "get",
        () => store.get(pack, range),
        async () => (await store.get(pack, range))?.slice(0, -1) ?? null,
      ),
  };
}

type Step =
  | { readonly do: "change"; readonly size: number }
  | { readonly do: "save"; readonly line: Line; readonly at: Call }
  | { readonly do: "lose"; readonly line: Line }
  | { readonly do: "die"; readonly at: Call };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("change" as const), size: fc.constantFrom(0, 10, 300_000) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("save" as const),
      line: fc.constantFrom(...LINES),
      at: fc.constantFrom("hold", "put"),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("lose" as const), line: fc.constantFrom(...LINES) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), at: fc.constantFrom("hold", "put") }) },
);

it("restores the newest saved state, or nothing and an error", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 14 }), async (steps) => {
      const bad: { line: Line; at: Call } = { line: "good", at: "put" };
      const database = memoryDatabase();
      let onSilence = (): void => {};
      const store = (real: PackStore): PackStore =>
        behind(
          real,
          (call) => (call === bad.at ? bad.line : "good"),
          () => onSilence(),
        );
      let session: TestSession = world.session({ database, store });
      const { id } = session;
      const base = world.folder(id);
      const files = ["one", "folder/two"].map((name) => join(base, "workspace", name));
      /** What the workspace holds, and what its newest save holds. */
      let [now, saved] = ["", ""];
      const write = (text: string): void => {
        for (const part of ["workspace/folder", "engine/projects/p"]) mkdirSync(join(base, part), { recursive: true });
        for (const file of files) writeFileSync(file, text);
        now = text;
      };
      const newest = (): unknown => session.snapshots.tables.latest()?.id;
      const save = async (line: Line, at: Call): Promise<void> => {
        Object.assign(bad, { line, at });
        const before = newest();
        await session.save();
        bad.line = "good";
        if (newest() !== before) saved = now;
      };
      const lose = async (line: Line): Promise<void> => {
        rmSync(base, { recursive: true, force: true });
        Object.assign(bad, { line, at: "get" });
        const came = await session.restore().then(
          () => true,
          () => false,
        );
        bad.line = "good";
        if (!came) {
          // No run begins without the files, and over a good connection all of them come back.
          for (const file of files) expect(existsSync(file)).toBe(false);
          await session.restore();
        }
        for (const file of files) expect(readFileSync(file, "utf8")).toBe(saved);
        now = saved;
      };

      write("first");
      await save("good", "put");
      expect(saved).toBe("first");
      for (const [n, each] of steps.entries()) {
        if (each.do === "change") write(`${n} ${"x".repeat(each.size)}`);
        else if (each.do === "save") await save(each.line, each.at);
        else if (each.do === "lose") await lose(each.line);
        else {
          // The object dies in the middle of a save; another object continues with what is stored.
          Object.assign(bad, { line: "silent", at: each.at });
          const silent = new Promise<void>((resolve) => (onSilence = resolve));
          const before = newest();
          await Promise.race([silent, session.save()]);
          if (newest() !== before) saved = now;
          session = world.session({ id, database, store });
          bad.line = "good";
        }
      }
      await save("good", "put");
      saved = now;
      await lose("good");
    }),
    { numRuns: 10 },
  );
}, 120_000);
