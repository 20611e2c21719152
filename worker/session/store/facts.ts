import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { PromptBlock } from "@gantry/protocol/content.ts";
import type { SessionResource } from "../../resources/session-resource.ts";
import type { SessionSetup } from "../../catalog/session-setup.ts";
import type { CheckedOptions } from "./run-options.ts";

/** What goes into a session and what it tells of itself. */

export interface Submission {
  readonly prompt: readonly PromptBlock[];
  readonly options: CheckedOptions;
  /** What the operator says to the model with it. */
  readonly system?: { readonly eventId: string; readonly content: readonly { type: "text"; text: string }[] };
  /** Why the run begins: the door it came through. */
  readonly trigger: string;
  /** Chosen by the door so that a request that comes again finds its run; without, a new one. */
  readonly runId?: string;
}

export type Submitted =
  | {
      readonly ok: true;
      readonly runId: string;
      /** `seq` before the run's first event. */
      readonly after: number;
      /** Id of the `user.message`. */
      readonly eventId: string;
      /** The run was there already. */
      readonly repeated?: true;
    }
  | { readonly ok: false; readonly error: "unknown_session" | "queue_full" | "archived" };

/** What the API tells of a session, true at the moment of asking. */
export interface SessionFacts {
  readonly id: string;
  readonly setup: Omit<SessionSetup, "engine">;
  readonly status: "idle" | "running";
  readonly createdAt: number;
  /** Without their credentials. */
  readonly resources: readonly Omit<SessionResource, "secret">[];
  /** The model that the next run without one uses. */
  readonly model: string;
  /** Tokens of the main agent and its sub-agents. */
  readonly usage: ModelUsage;
  /** Those of the main agent alone. */
  readonly mainUsage: ModelUsage;
  /** Milliseconds in which it was running: not those in which it waited for somebody. */
  readonly activeMs: number;
  /** When something last happened in it. */
  readonly lastAt: number;
}
