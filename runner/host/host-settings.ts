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
  /** Whether the engine has got the prompt, and whether it is through with it. */
  state: "preparing" | "prompted" | "concluding";
  /** Aborted when the run is over: it may still wait for its engine, or for a clone. */
  readonly over: AbortController;
}

/** How long a start ahead of a prompt waits for a place; after that nobody is about to send one. */
export const WARM_PATIENCE_MS = 10_000;

/** Whoever wanted the engine no longer does. */
export class NotStarted extends Error {}

/** Ended runs that are remembered, so that a start that comes twice does not run twice. */
export const REMEMBERED_RUNS = 200;
