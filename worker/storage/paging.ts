import { RequestRefused } from "@gantry/protocol/error.ts";

/**
 * A position in a list. A cursor names a row and a direction, so a page stays where it is while rows come and go: no row
 * is shown twice or left out, in either direction.
 */
export interface Cursor {
  /** `older`: rows older than the named one; `newer`: rows newer than it. */
  readonly direction: "older" | "newer";
  /** Key of the named row: an id, a version or a position. */
  readonly key: string | number;
}

/** The page that a client asks for. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor: Cursor | null;
  /** Oldest first instead of newest first. */
  readonly ascending?: boolean;
}

/** A page, in the order of the list. A cursor is null at that end of the list. */
export interface Page<Item> {
  readonly data: Item[];
  readonly next_page: string | null;
  readonly prev_page: string | null;
}

/** Text of a cursor: `o:agent_...` or `n#17`, in base64url so that clients treat it as opaque. */
export function writeCursor({ direction, key }: Cursor): string {
  const sign = typeof key === "number" ? "#" : ":";
  return btoa(`${direction === "older" ? "o" : "n"}${sign}${key}`)
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Reads a cursor; null when there is none. Throws `invalid_request` for a text that `writeCursor` did not produce. */
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

/** A list in SQL: its rows and the column that orders them. The texts come from this code, never from a request. */
export interface ListQuery {
  /** `SELECT ... FROM ...` */
  readonly select: string;
  /** Conditions, with a `?` for each of `values`. */
  readonly where: readonly string[];
  readonly values: readonly (string | number)[];
  /** Column or expression that orders the list; unique in it. */
  readonly key: string;
}

/** Reads one page. It fetches one extra row to learn whether another page follows. */
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

/** Turns the rows of a query into a page: drops the extra row, restores the list's order and adds the cursors. */
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
  // The row that the cursor names proves that there is a page on the side we come from.
  const hasNext = backwards ? true : more;
  const hasPrevious = backwards ? more : cursor !== null;
  return {
    data: shown.map(toItem),
    next_page: last !== undefined && hasNext ? writeCursor({ direction: ahead, key: keyOf(last) }) : null,
    prev_page: first !== undefined && hasPrevious ? writeCursor({ direction: back, key: keyOf(first) }) : null,
  };
}
