import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { PromptBlock } from "@gantry/protocol/content.ts";
import type { SessionResource } from "../../resources/session-resource.ts";
import type { SessionSetup } from "../../catalog/session-setup.ts";
import type { CheckedOptions } from "./run-options.ts";

/** What goes into a session, and what it reports about itself. */

export interface Submission {
  readonly prompt: readonly PromptBlock[];
  readonly options: CheckedOptions;
  /** Text from the operator that goes to the model with the prompt. */
  readonly system?: { readonly eventId: string; readonly content: readonly { type: "text"; text: string }[] };
  /** Why the run begins: the door that the prompt came through. */
  readonly trigger: string;
  /** Chosen by the caller, so that a repeated request finds its run; absent: a new id. */
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
      /** The run existed already. */
      readonly repeated?: true;
    }
  | { readonly ok: false; readonly error: "unknown_session" | "queue_full" | "archived" };

/** A session as the API shows it, at the moment of the call. */
export interface SessionFacts {
  readonly id: string;
  readonly setup: Omit<SessionSetup, "engine">;
  readonly status: "idle" | "running";
  readonly createdAt: number;
  /** Without their credentials. */
  readonly resources: readonly Omit<SessionResource, "secret">[];
  /** The model of the next run that names none. */
  readonly model: string;
  /** Tokens of the main agent and its sub-agents. */
  readonly usage: ModelUsage;
  /** Tokens of the main agent alone. */
  readonly mainUsage: ModelUsage;
  /** Milliseconds in which the session was running. Time spent waiting for an answer does not count. */
  readonly activeMs: number;
  /** Time of the newest event, in milliseconds since 1970. */
  readonly lastAt: number;
}
