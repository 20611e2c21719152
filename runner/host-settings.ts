import type { RunError } from "@gantry/protocol/event.ts";
import type { RunStart } from "@gantry/protocol/link.ts";
import type { Admission } from "./admission.ts";

/** What a session's host is given, and what it keeps of the run in progress. */

export interface HostSettings {
  readonly sessionId: string;
  readonly runnerId: string;
  readonly root: string;
  readonly workspace?: string;
  readonly caFile?: string;
  /** Prefix of the marker that all processes of this runner's state folder carry. */
  readonly markerPrefix: string;
  readonly path: string;
  /** An engine without a run is ended after this time. */
  readonly idleMs: number;
  /** Admits engine starts. */
  readonly admission: Admission;
  /** What an engine that is started before the session is made shows the router. */
  readonly engineToken?: string;
  readonly log: (entry: Record<string, unknown>) => void;
}

/** The run in progress. */
export interface ActiveRun {
  readonly command: RunStart;
  readonly startedAt: number;
  interrupted: RunError["type"] | "user" | null;
  deadline: NodeJS.Timeout;
  /** Aborted when the run is over: it may still wait for its engine. */
  readonly over: AbortController;
}

/** How a run ends that was stopped, or whose engine failed. */
export function failed(type: RunError["type"], reason = ""): { outcome: "failed"; error: RunError } {
  const said: Partial<Record<RunError["type"], string>> = {
    deadline_exceeded: "The run took longer than it may and was stopped.",
    server_stopped: "The server was stopped while this ran; the next prompt continues the session.",
  };
  const message = said[type] ?? (reason || "The run failed.");
  return { outcome: "failed", error: { type, message } };
}
