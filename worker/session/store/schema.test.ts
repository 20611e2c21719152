import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { SCHEMA, bringUpToDate } from "./schema.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

test("a change of the tables comes with a new number", () => {
  const { sql } = memoryDatabase();
  const tables = sql.exec("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").toArray();
  const digest = createHash("sha256").update(JSON.stringify(tables)).digest("hex").slice(0, 16);
  // Both change together: an older session gets the new tables only when the number changes.
  expect({ SCHEMA, digest }).toEqual({ SCHEMA: 1, digest: "85c10f12c748f73f" });
});

test("what an earlier version made is brought up to date, once", () => {
  const { sql } = memoryDatabase();
  sql.exec("DROP TABLE alarms");
  bringUpToDate(sql);
  expect(sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'alarms'").toArray()).toEqual([]);
  sql.exec("DELETE FROM settings");
  bringUpToDate(sql);
  expect(sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'alarms'").toArray()).toHaveLength(1);
});
