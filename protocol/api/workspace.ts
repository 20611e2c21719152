import { z } from "zod";
import { COMMON_QUERY, queryNumber } from "./common.ts";

/** Bodies and queries for a session's saved files. Managed Agents has no such routes. */

/** Selects a saved state: the newest by default, or one named in one of three ways. */
const Saved = {
  snapshot_id: z.string().optional(),
  /** The state after this run. */
  run_id: z.string().optional(),
  /** The state after the last run that had ended by this event: its id or its `seq`. */
  at_event: z.string().optional(),
};

export const SnapshotListQuery = z.strictObject(COMMON_QUERY);

export const WorkspaceListQuery = z.strictObject({
  ...COMMON_QUERY,
  ...Saved,
  /** A folder; "" is the workspace itself. */
  path: z.string().default(""),
  recursive: z.enum(["true", "false"]).default("false"),
  limit: queryNumber(1, 1000).default(100),
  /** The path after which the list continues. */
  page: z.string().optional(),
});

export const WorkspaceFileQuery = z.strictObject({ ...COMMON_QUERY, ...Saved });

export const ArchiveQuery = z.strictObject({ ...COMMON_QUERY, ...Saved, path: z.string().default("") });

export const DiffQuery = z.strictObject({
  ...COMMON_QUERY,
  /** Shows the changes of this run. Absent: all changes since the session began. */
  run_id: z.string().optional(),
  /** Snapshots to compare instead. */
  from: z.string().optional(),
  to: z.string().optional(),
});

export const SessionFork = z.strictObject({
  /** Id or `seq` of an event: copies up to the last run that had ended by then. Absent: copies everything. */
  at_event: z.string().or(z.number().int().positive()).nullish(),
  title: z.string().max(500).nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).optional(),
});
export type SessionFork = z.infer<typeof SessionFork>;

export const SessionRewind = z
  .strictObject({
    /** Goes back to the state after this run. */
    run_id: z.string().optional(),
    snapshot_id: z.string().optional(),
    at_event: z.string().or(z.number().int().positive()).optional(),
  })
  .refine((body) => Object.keys(body).length === 1, "must name exactly one of run_id, snapshot_id and at_event");
export type SessionRewind = z.infer<typeof SessionRewind>;
