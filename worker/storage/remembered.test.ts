import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { remembered, toPlan } from "./remembered.ts";
import { memoryDatabase } from "../session/testing/sqlite.ts";

describe("the tables a statement touches", () => {
  it.each([
    ["SELECT value FROM settings WHERE key = ?", true, ["settings"]],
    ["select COUNT(*) AS n from runs", true, ["runs"]],
    ["SELECT * FROM runs JOIN events ON 1 WHERE id IN (SELECT id FROM waiting)", true, ["runs", "events", "waiting"]],
    ["SELECT 1", true, []],
    ["INSERT INTO runs (id) VALUES (?)", false, ["runs"]],
    ["INSERT OR REPLACE INTO totals (name, value) SELECT 'a', MAX(seq) FROM events", false, ["totals"]],
    ["  UPDATE session SET status = ?", false, ["session"]],
    ["DELETE FROM waiting WHERE run_id = ?", false, ["waiting"]],
    ["CREATE TABLE IF NOT EXISTS runs (id TEXT)", false, null],
    ["WITH one AS (SELECT 1) DELETE FROM runs", false, null],
  ])("%s", (query, reads, tables) => {
    expect(toPlan(query)).toEqual({ reads, tables });
  });
});

const READS = [
  "SELECT key, value FROM settings ORDER BY key",
  "SELECT COUNT(*) AS n FROM settings",
  "SELECT status, frame FROM session",
  "SELECT (SELECT COUNT(*) FROM settings) + frame AS n FROM session",
];

const step = fc.oneof(
  fc.record({ is: fc.constant("read" as const), query: fc.constantFrom(...READS) }),
  fc.record({ is: fc.constant("look" as const), key: fc.constantFrom("a", "b", "1") }),
  fc.record({
    is: fc.constant("put" as const),
    key: fc.constantFrom("a", "b", "1"),
    value: fc.string({ maxLength: 3 }),
  }),
  fc.record({ is: fc.constant("remove" as const), key: fc.constantFrom("a", "b", "1") }),
  fc.record({ is: fc.constant("advance" as const), frame: fc.nat(9) }),
);
const work = fc.record({
  steps: fc.array(step, { maxLength: 6 }),
  ends: fc.constantFrom("alone", "kept", "takenBack"),
});

class TakenBack extends Error {}

it("answers as the database would, also after a rolled-back transaction", () => {
  fc.assert(
    fc.property(fc.array(work, { maxLength: 12 }), (works) => {
      const database = memoryDatabase();
      const { sql, transaction } = remembered(database.sql, database.transaction);
      const ask = (query: string, ...bindings: string[]): void =>
        expect(sql.exec(query, ...bindings).toArray()).toEqual(database.sql.exec(query, ...bindings).toArray());
      const play = (steps: (typeof works)[number]["steps"]): void => {
        for (const each of steps) {
          if (each.is === "read") ask(each.query);
          else if (each.is === "look") ask("SELECT value FROM settings WHERE key = ?", each.key);
          else if (each.is === "remove") sql.exec("DELETE FROM settings WHERE key = ?", each.key);
          else if (each.is === "advance") sql.exec("UPDATE session SET frame = ?", each.frame);
          else sql.exec("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", each.key, each.value);
        }
      };
      for (const { steps, ends } of works) {
        if (ends === "alone") play(steps);
        else if (ends === "kept") transaction(() => play(steps));
        else
          expect(() =>
            transaction(() => {
              play(steps);
              throw new TakenBack();
            }),
          ).toThrow(TakenBack);
        for (const query of READS) ask(query);
      }
    }),
    { numRuns: 300 },
  );
});

it("asks the database once until something is written", () => {
  const database = memoryDatabase();
  let asked = 0;
  const counted = {
    exec: (...args: Parameters<typeof database.sql.exec>) => {
      asked += 1;
      return database.sql.exec(...args);
    },
  };
  const { sql } = remembered(counted, database.transaction);
  const status = (): unknown => sql.exec("SELECT status FROM session").toArray()[0]?.["status"];
  expect([status(), status(), asked]).toEqual(["idle", "idle", 1]);
  sql.exec("UPDATE session SET status = 'running'");
  expect([status(), status(), asked]).toEqual(["running", "running", 3]);
  // Each caller gets its own list; the rows in it are shared and frozen.
  sql.exec("SELECT status FROM session").toArray().pop();
  expect(() => (sql.exec("SELECT status FROM session").toArray()[0]!["status"] = "")).toThrow(TypeError);
});
