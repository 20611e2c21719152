import { describe, expect, it } from "vitest";
import { numbered, sqlProblem } from "./sql-text.ts";

describe("a statement of the configuration", () => {
  it.each<[sql: string, parameters: string[], problem: string | null]>([
    ["SELECT 1", [], null],
    ["  select a from b where c = :c ; ", ["c"], null],
    ["WITH x AS (SELECT 1) SELECT * FROM x", [], null],
    ["SELECT ':not, a; parameter -- ' AS \"delete\" -- drop\n/* update; */", [], null],
    ["SELECT replace(a, 'x', 'y') FROM b", [], null],
    ["SELECT updated_at, deleted FROM b", [], null],
    ["", [], "must be a SELECT"],
    ["UPDATE a SET b = 1", [], "must be a SELECT"],
    ["PRAGMA table_info(a)", [], "must be a SELECT"],
    ["WITH x AS (SELECT 1) DELETE FROM a", [], "must only read, and has DELETE"],
    ["WITH x AS (SELECT 1) REPLACE INTO a SELECT * FROM x", [], "must only read, and has REPLACE INTO"],
    ["SELECT 1; DROP TABLE a", [], "must be one statement"],
    ["SELECT 1 /* */; SELECT 2", [], "must be one statement"],
    ["SELECT ?", [], "parameters are written :name"],
    ["SELECT :a", [], "has no parameter :a"],
    ["SELECT 1", ["a"], "does not use its parameter :a"],
  ])("%j with %j: %s", (sql, parameters, problem) => {
    expect(sqlProblem(sql, parameters)).toBe(problem);
  });

  it("gets numbers for names, except inside quoted text", () => {
    expect(numbered("SELECT ':b', :b, :a, :b -- :c\n;")).toEqual({
      sql: "SELECT ':b', ?1, ?2, ?1",
      names: ["b", "a"],
    });
  });
});
