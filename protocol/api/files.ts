import { z } from "zod";
import { COMMON_QUERY, queryNumber } from "./common.ts";

/** Query of `GET /v1/files`. With `ids[]` the answer is a single page, so `page` and `limit` are not allowed. */
export const FileListQuery = z
  .strictObject({
    ...COMMON_QUERY,
    limit: queryNumber(1, 1000).optional(),
    page: z.string().optional(),
    "ids[]": z.array(z.string()).max(100).optional(),
    scope_id: z.string().optional(),
  })
  .refine((query) => query["ids[]"] === undefined || (query.page === undefined && query.limit === undefined), {
    error: "cannot be combined with page or limit",
    path: ["ids"],
  });

/** Fields of an upload besides the file. A file may expire after an hour to ninety days. */
export const FileFields = z.strictObject({ expires_in_seconds: queryNumber(3600, 7_776_000).optional() });
