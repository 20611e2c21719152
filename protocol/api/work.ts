import { z } from "zod";
import { COMMON_QUERY, MetadataPatch, queryNumber } from "./common.ts";

/** Bodies and queries of `/v1/environments/{id}/work`, with the names of Managed Agents. */

export const WorkUpdate = z.strictObject({ metadata: MetadataPatch });

/** With `force` the item ends now; otherwise its worker is asked to stop. */
export const WorkStop = z.strictObject({ force: z.boolean().optional() });

/** A work item that was handed out `reclaim_older_than_ms` ago and never acknowledged is handed out again. */
export const WorkPollQuery = z.strictObject({
  ...COMMON_QUERY,
  block_ms: queryNumber(1, 999).optional(),
  reclaim_older_than_ms: queryNumber(0, 86_400_000).default(5_000),
});

export const WorkHeartbeatQuery = z.strictObject({
  ...COMMON_QUERY,
  desired_ttl_seconds: queryNumber(10, 3_600).default(300),
  expected_last_heartbeat: z.union([z.literal("NO_HEARTBEAT"), z.iso.datetime()]).optional(),
});
