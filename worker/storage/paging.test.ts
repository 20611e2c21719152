import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readCursor, toPage, writeCursor } from "./paging.ts";
import type { Cursor, Page, PageRequest } from "./paging.ts";

/** What SQL answers: rows older than the cursor, newest first, or newer ones, oldest first; one more than the limit. */
function query(rows: readonly number[], { limit, cursor, ascending }: PageRequest): number[] {
  const sorted = rows.toSorted((a, b) => b - a);
  const key = Number(cursor?.key ?? 0);
  if (cursor === null ? ascending : cursor.direction === "newer")
    return sorted
      .toReversed()
      .filter((row) => row > key)
      .slice(0, limit + 1);
  return sorted.filter((row) => cursor === null || row < key).slice(0, limit + 1);
}

function read(rows: readonly number[], limit: number, text: string | null, ascending = false): Page<number> {
  const request = { limit, cursor: readCursor(text ?? undefined), ascending };
  const same = (row: number): number => row;
  return toPage(query(rows, request), request, same, same);
}

const ROWS = fc.uniqueArray(fc.integer({ min: 1, max: 1_000_000 }), { maxLength: 40 });
const LIMIT = fc.integer({ min: 1, max: 10 });

describe("pages", () => {
  it("show every row once and in order, forwards and backwards, newest first and oldest first", () => {
    fc.assert(
      fc.property(ROWS, LIMIT, fc.boolean(), (rows, limit, ascending) => {
        const there: number[][] = [];
        let page = read(rows, limit, null, ascending);
        expect(page.prev_page).toBeNull();
        for (;;) {
          there.push(page.data);
          if (page.next_page === null) break;
          page = read(rows, limit, page.next_page, ascending);
        }
        expect(there.flat()).toEqual(rows.toSorted((a, b) => (ascending ? a - b : b - a)));
        for (const expected of there.toReversed().slice(1)) {
          page = read(rows, limit, page.prev_page, ascending);
          expect(page.data).toEqual(expected);
        }
        expect(page.prev_page).toBeNull();
      }),
    );
  });

  it("leave out no existing row while new rows are added", () => {
    fc.assert(
      fc.property(ROWS, LIMIT, (rows, limit) => {
        const now = [...rows];
        const seen: number[] = [];
        for (let page = read(now, limit, null); ; page = read(now, limit, page.next_page)) {
          seen.push(...page.data);
          now.push(1_000_001 + now.length);
          if (page.next_page === null) break;
        }
        expect(seen).toEqual(rows.toSorted((a, b) => b - a));
      }),
    );
  });
});

describe("cursors", () => {
  it.each<Cursor>([
    { direction: "older", key: "agent_01h" },
    { direction: "newer", key: "env_x" },
    { direction: "older", key: 17 },
    { direction: "newer", key: 0 },
  ])("survive a round trip: %j", (cursor) => {
    const text = writeCursor(cursor);
    expect(text).toMatch(/^[\w-]+$/);
    expect(readCursor(text)).toEqual(cursor);
  });

  it.each(["x", "%%%", btoa("o:"), btoa("x:agent_1"), btoa("o:a' OR 1=1"), btoa("o#1e9"), btoa(`o:${"a".repeat(65)}`)])(
    "are refused when they were not written here: %j",
    (text) => {
      expect(() => readCursor(text)).toThrow("page: is not a cursor of this list");
    },
  );

  it("may be missing", () => {
    expect([readCursor(undefined), readCursor("")]).toEqual([null, null]);
  });
});
