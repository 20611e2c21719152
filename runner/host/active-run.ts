import type { RunError } from "@gantry/protocol/run-end.ts";
import type { RunStart } from "@gantry/protocol/link.ts";

/** The run in progress. */
export interface ActiveRun {
  readonly command: RunStart;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Why the run is being stopped; null when it is not. */
  interrupted: RunError["type"] | "user" | null;
  deadline: NodeJS.Timeout;
  /**
   * `preparing`: waits for its mounts or its engine. `prompted`: the engine has the prompt. `concluding`: the engine is done,
   * and the runner hands over the outputs.
   */
  state: "preparing" | "prompted" | "concluding";
  /** Aborted when the run is over, because it may still be waiting for its engine or for a clone. */
  readonly over: AbortController;
}
