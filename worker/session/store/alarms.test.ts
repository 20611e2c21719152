import { expect, it } from "vitest";
import { Alarms } from "./alarms.ts";
import type { Sleeper } from "./alarms.ts";
import { createTables } from "./schema.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

it.each<[string, [Sleeper | "fired", number | null][], number[]]>([
  ["one", [["driver", 10]], [10]],
  [
    "an earlier one",
    [
      ["driver", 10],
      ["snapshots", 5],
    ],
    [10, 5],
  ],
  [
    "a later one",
    [
      ["driver", 10],
      ["snapshots", 15],
    ],
    [10],
  ],
  [
    "one that is put off finds nothing when it comes",
    [
      ["driver", 10],
      ["driver", 20],
    ],
    [10],
  ],
  [
    "one that is taken away, too",
    [
      ["driver", 10],
      ["driver", null],
      ["driver", 12],
    ],
    [10],
  ],
  [
    "after it has come, the next",
    [
      ["driver", 10],
      ["snapshots", 15],
      ["fired", null],
      ["driver", null],
    ],
    [10, 15],
  ],
  ["nobody's", [["driver", null]], []],
  [
    "one that should have come",
    [
      ["driver", -5],
      ["driver", 10],
    ],
    [-5, 10],
  ],
])("the shared alarm: %s", (_name, calls, wanted) => {
  const { sql } = memoryDatabase();
  createTables(sql);
  const set: number[] = [];
  const alarms = new Alarms(
    sql,
    (at) => set.push(at),
    () => 0,
  );
  for (const [name, at] of calls) {
    if (name === "fired") alarms.fired();
    else alarms.set(name, at);
  }
  expect(set).toEqual(wanted);
});

it("is due when its own time has come, not when another's has", () => {
  const { sql } = memoryDatabase();
  createTables(sql);
  const set: number[] = [];
  let now = 0;
  const alarms = new Alarms(
    sql,
    (at) => set.push(at),
    () => now,
  );
  alarms.set("driver", 3);
  alarms.set("snapshots", 300);
  now = 3;
  alarms.fired();
  expect(alarms.isDue("driver")).toBe(true);
  alarms.set("driver", null);
  // Nothing else is left to set it.
  expect([alarms.isDue("snapshots"), alarms.isDue("sandbox"), alarms.isDue("sandbox", true)]).toEqual([
    false,
    false,
    true,
  ]);
  expect(set).toEqual([3, 300]);
  now = 300;
  expect(
    new Alarms(
      sql,
      () => {},
      () => now,
    ).isDue("snapshots"),
  ).toBe(true);
});
