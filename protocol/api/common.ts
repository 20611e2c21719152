import { z } from "zod";

/** Most pairs of an object's metadata. */
const MAX_PAIRS = 16;
const Key = z.string().min(1).max(64);
const Value = z.string().max(512);

export const Metadata = z
  .record(Key, Value)
  .refine((pairs) => Object.keys(pairs).length <= MAX_PAIRS, `must have at most ${MAX_PAIRS} pairs`);

/** Changes to metadata: a text sets a key, null removes it. The result is checked against `Metadata` again. */
export const MetadataPatch = z.record(Key, Value.nullable());

/** A flag in a query: `?include_archived=true`. */
export const QueryFlag = z.enum(["true", "false"]).transform((text) => text === "true");

/** A whole number in a query, of at most nine digits. */
export function queryNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,9}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().min(min).max(max));
}

/** Accepted by every route and ignored: Anthropic's SDK marks beta routes with `?beta=true`. */
export const COMMON_QUERY = { beta: z.string().optional() };

/** Query of a list: `limit` items (default 20, at most 100) from the cursor `page` on. */
export const PAGE_QUERY = {
  ...COMMON_QUERY,
  limit: queryNumber(1, 100).default(20),
  page: z.string().optional(),
};

/** Query of a route that has no parameters of its own. */
export const NoQuery = z.strictObject(COMMON_QUERY);

/** Query of a list without filters. */
export const PageQuery = z.strictObject(PAGE_QUERY);

/** A time in a query, ISO 8601 with an offset; parsed to milliseconds since 1970. */
export const When = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

/** Conditions on the creation time. */
export const CREATED_QUERY = {
  "created_at[gt]": When.optional(),
  "created_at[gte]": When.optional(),
  "created_at[lt]": When.optional(),
  "created_at[lte]": When.optional(),
};
