import type { RunOptions } from "@gantry/protocol/link.ts";
import type { Env } from "../env.ts";
import { AGENT_MAX_TURNS, completeOptions } from "../http/run-options.ts";
import type { SessionSetup } from "./settings.ts";

/** What a run is given where its request does not say. */

/** Options of a request; without a model the session goes on with the one it used last. */
export type WantedOptions = Omit<RunOptions, "model"> & { readonly model?: string };

const DEFAULT_RUN_MINUTES = 30;

/** The most a timer holds. */
const MAX_RUN_MINUTES = 35_791;

/** Milliseconds that a run may take. What is no number of minutes counts as not given: without a limit it would hang. */
export function deadlineOf(minutes: string | undefined): number {
  const value = Number(minutes || DEFAULT_RUN_MINUTES);
  return Math.round((value > 0 && value <= MAX_RUN_MINUTES ? value : DEFAULT_RUN_MINUTES) * 60_000);
}

/** Options of a first prompt that says nothing but itself. */
export function firstOptions(env: Env, { engine }: SessionSetup): WantedOptions {
  return { ...fromAgent(engine), ...completeOptions(env, { maxTurns: AGENT_MAX_TURNS }) };
}

/** What the session's agent says about every run. */
export function fromAgent({ system, effort, tools }: SessionSetup["engine"]): Partial<RunOptions> {
  return {
    ...(system === undefined ? {} : { appendSystemPrompt: system }),
    ...(effort === undefined ? {} : { effort }),
    ...(tools === undefined ? {} : { agent: tools }),
  };
}
