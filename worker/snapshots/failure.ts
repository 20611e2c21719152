import type { SessionEvent } from "@gantry/protocol/event.ts";
import { NoSnapshotKey } from "./keys.ts";
import { DamagedStore } from "./packs.ts";
import { SnapshotFailed } from "./runner.ts";

type FailedEvent = Extract<SessionEvent, { type: "workspace.snapshot_failed" }>;

/** The event that reports a failed save. Its `retry_status` says whether another attempt can help. */
export function failureEvent(error: unknown): FailedEvent {
  const failed = (
    type: FailedEvent["error"]["type"],
    message: string,
    retry: "retrying" | "exhausted" = "retrying",
  ): FailedEvent => ({
    type: "workspace.snapshot_failed",
    error: { type, message, retry_status: { type: retry } },
  });
  if (error instanceof NoSnapshotKey) return failed("not_configured", error.message, "exhausted");
  if (error instanceof SnapshotFailed) {
    switch (error.code) {
      case "too_large":
        return failed("too_large", error.message, "exhausted");
      case "bad_contents":
      case "bad_restore":
        return failed("bad_contents", error.message);
      case "no_folder":
      case "not_the_holder":
        return failed("sandbox_unavailable", error.message, "exhausted");
      case "busy":
      case "changed":
      case "unknown_scan":
      case "failed":
      case "unreachable":
        return failed("sandbox_unavailable", error.message);
      default:
        error.code satisfies never;
    }
  }
  // The store's own message may reveal its internals.
  const message = error instanceof DamagedStore ? error.message : "The snapshot store did not accept the snapshot.";
  return failed("store_unavailable", message);
}
