import { z } from "zod";
import { COMMON_QUERY, queryNumber } from "./common.ts";

/** Files of a session, as they were saved; ours, not of Managed Agents. */

/** A saved state: the newest, or the one named in one of three ways. */
const Saved = {
  snapshot_id: z.string().optional(),
  /** As the run left it. */
  run_id: z.string().optional(),
  /** As the last run left it that had ended by then: an event's id, or its `seq`. */
  at_event: z.string().optional(),
};

export const SnapshotListQuery = z.strictObject(COMMON_QUERY);

export const WorkspaceListQuery = z.strictObject({
  ...COMMON_QUERY,
  ...Saved,
  /** Folder; "" is the workspace. */
  path: z.string().default(""),
  recursive: z.enum(["true", "false"]).default("false"),
  limit: queryNumber(1, 1000).default(100),
  /** Path after which the list goes on. */
  page: z.string().optional(),
});

export const WorkspaceFileQuery = z.strictObject({ ...COMMON_QUERY, ...Saved });

export const ArchiveQuery = z.strictObject({ ...COMMON_QUERY, ...Saved, path: z.string().default("") });

export const DiffQuery = z.strictObject({
  ...COMMON_QUERY,
  /** What this run changed. Without: what changed since the session began. */
  run_id: z.string().optional(),
  /** From one snapshot to another, instead. */
  from: z.string().optional(),
  to: z.string().optional(),
});

export const SessionFork = z.strictObject({
  /** Id or `seq`: up to the last run that had ended by then. Without: up to now. */
  at_event: z.string().or(z.number().int().positive()).nullish(),
  title: z.string().max(500).nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).optional(),
});
export type SessionFork = z.infer<typeof SessionFork>;

export const SessionRewind = z
  .strictObject({
    /** Back to how this run left it. */
    run_id: z.string().optional(),
    snapshot_id: z.string().optional(),
    at_event: z.string().or(z.number().int().positive()).optional(),
  })
  .refine((body) => Object.keys(body).length === 1, "names one of run_id, snapshot_id, at_event");
export type SessionRewind = z.infer<typeof SessionRewind>;
