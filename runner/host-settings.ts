import type { RunEnded, RunError } from "@gantry/protocol/event.ts";
import type { RunStart } from "@gantry/protocol/link.ts";
import type { Admission } from "./admission.ts";
import { ResourceUnavailable } from "./mounts/unavailable.ts";

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
  /** Whether the engine has got the prompt, and whether it is through with it. */
  state: "preparing" | "prompted" | "concluding";
  /** Aborted when the run is over: it may still wait for its engine, or for a clone. */
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

/** The end of a run that the engine did not end. */
export function endOf(run: ActiveRun, result: string, reason: string, type: RunError["type"]): RunEnded {
  const { interrupted: why, startedAt } = run;
  const outcome = why === "user" ? { outcome: "interrupted" as const, error: null } : failed(why ?? type, reason);
  return { type: "run.ended", result, usage: null, num_turns: 0, duration_ms: Date.now() - startedAt, ...outcome };
}

/** Why a run could not begin, in words and as a type. */
export function whyNotBegun(error: unknown): [reason: string, type: RunError["type"]] {
  const reason = error instanceof Error ? error.message : String(error);
  return [reason, error instanceof ResourceUnavailable ? "resource_unavailable" : "engine_failed"];
}

/** How long an interrupted engine may take to say so before its input is closed, and then before it is killed. */
export const INTERRUPT_GRACE_MS = 1_500;
export const CLOSE_GRACE_MS = 2_500;

/** Ended runs that are remembered, so that a start that comes twice does not run twice. */
export const REMEMBERED_RUNS = 200;
