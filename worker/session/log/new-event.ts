import type { SessionEvent } from "@gantry/protocol/event.ts";

/** An event before it is written. The log assigns its `seq`. */
export interface NewEvent {
  readonly id: string;
  readonly runId: string | null;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly event: SessionEvent;
  /** The thread it happened on; absent: the primary thread. */
  readonly thread?: string | undefined;
  /** With a question of the runner: the engine's id of the call. Not part of the log. */
  readonly call?: string | undefined;
}
