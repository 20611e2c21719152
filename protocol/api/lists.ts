import { z } from "zod";
import { COMMON_QUERY, queryNumber } from "./common.ts";

/** Queries of models, runs and usage. */

const Lifecycle = z.enum(["active", "deprecated", "retired"]);

export const ModelListQuery = z.strictObject({
  ...COMMON_QUERY,
  limit: queryNumber(1, 1000).default(20),
  after_id: z.string().optional(),
  before_id: z.string().optional(),
  "lifecycle[]": z.array(Lifecycle).max(3).optional(),
});

/** `page` is the number of the last run on the previous page. */
export const RunListQuery = z.strictObject({
  ...COMMON_QUERY,
  limit: queryNumber(1, 1000).default(100),
  page: queryNumber(0, 999_999_999).default(0),
});

export const UsageQuery = z.strictObject({
  ...COMMON_QUERY,
  session_id: z.string().optional(),
  key_id: z.string().optional(),
  /** The first day, in UTC. */
  since: z.iso.date().optional(),
});
