import { RequestRefused } from "@gantry/protocol/error.ts";

/**
 * Pages of a list, newest first. A cursor names a row and a direction, so that a page stays where it is while rows
 * come and go: nothing is shown twice and nothing is left out, in both directions.
 */
export interface Cursor {
  /** `older`: the rows after it in the list; `newer`: those before it. */
  readonly direction: "older" | "newer";
  /** Key of the row that the page before ended with: an id, a version, a position. */
  readonly key: string | number;
}

/** What a list is asked for. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor: Cursor | null;
  /** Oldest first instead of newest first. */
  readonly ascending?: boolean;
}

/** A page, in the order of the list. A cursor is null where the list ends. */
export interface Page<Item> {
  readonly data: Item[];
  readonly next_page: string | null;
  readonly prev_page: string | null;
}

/** Text of a cursor: `o:agent_...` or `n:17`, in base64url, because clients must not read it. */
export function writeCursor({ direction, key }: Cursor): string {
  const sign = typeof key === "number" ? "#" : ":";
  return btoa(`${direction === "older" ? "o" : "n"}${sign}${key}`)
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Reads a cursor; refuses what we have not written. */
export function readCursor(text: string | undefined): Cursor | null {
  if (text === undefined || text === "") return null;
  let plain = "";
  try {
    plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    // Refused below.
  }
  const match = /^([on])(?::(\w{1,64})|#(\d{1,15}))$/.exec(plain);
  const key = match?.[2] ?? (match?.[3] === undefined ? undefined : Number(match[3]));
  if (match === null || key === undefined)
    throw new RequestRefused({ code: "invalid_request", field: "page", reason: "is not a cursor of this list" });
  return { direction: match[1] === "o" ? "older" : "newer", key };
}

/** A list in SQL: which rows, and by which column they are ordered. All of it is written in our code. */
export interface ListQuery {
  /** `SELECT ... FROM ...` */
  readonly select: string;
  /** Conditions, with a `?` for each of `values`. */
  readonly where: readonly string[];
  readonly values: readonly (string | number)[];
  /** Column of the order, unique in the list. */
  readonly key: string;
}

/** Reads one page. Asks for one row more than it shows, to know whether there is another page. */
export async function readPage<Row, Item>(
  db: D1Database,
  query: ListQuery,
  request: PageRequest,
  keyOf: (row: Row) => string | number,
  toItem: (row: Row) => Item,
): Promise<Page<Item>> {
  const { limit, cursor, ascending = false } = request;
  const newer = cursor === null ? ascending : cursor.direction === "newer";
  const where = cursor === null ? query.where : [...query.where, `${query.key} ${newer ? ">" : "<"} ?`];
  const values = cursor === null ? query.values : [...query.values, cursor.key];
  const { results } = await db
    .prepare(`${query.select} WHERE ${where.join(" AND ")} ORDER BY ${query.key} ${newer ? "ASC" : "DESC"} LIMIT ?`)
    .bind(...values, limit + 1)
    .all<Row>();
  return toPage(results, request, keyOf, toItem);
}

/** Cuts the extra row off, puts the rows in the list's order and names the neighbours. */
export function toPage<Row, Item>(
  rows: readonly Row[],
  { limit, cursor, ascending = false }: PageRequest,
  keyOf: (row: Row) => string | number,
  toItem: (row: Row) => Item,
): Page<Item> {
  const [ahead, back] = ascending ? (["newer", "older"] as const) : (["older", "newer"] as const);
  const backwards = cursor?.direction === back;
  const more = rows.length > limit;
  const shown = backwards ? rows.slice(0, limit).toReversed() : rows.slice(0, limit);
  const [first, last] = [shown[0], shown.at(-1)];
  // The row that the cursor names lies on the side we come from.
  const hasNext = backwards ? true : more;
  const hasPrevious = backwards ? more : cursor !== null;
  return {
    data: shown.map(toItem),
    next_page: last !== undefined && hasNext ? writeCursor({ direction: ahead, key: keyOf(last) }) : null,
    prev_page: first !== undefined && hasPrevious ? writeCursor({ direction: back, key: keyOf(first) }) : null,
  };
}
