import type { SessionEvent } from "@gantry/protocol/event.ts";

/** An event that is to be written: the log gives it its `seq`. */
export interface NewEvent {
  readonly id: string;
  readonly runId: string | null;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly event: SessionEvent;
  /** The thread it happened on; without: the primary one. */
  readonly thread?: string | undefined;
  /** With a question of the runner; not part of the log. */
  readonly call?: string | undefined;
}
