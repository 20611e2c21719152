import type { RunOptions } from "@gantry/protocol/link.ts";
import type { Env } from "../../base/env.ts";
import { AGENT_MAX_TURNS, completeOptions } from "./run-options.ts";
import type { Submission } from "./facts.ts";
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

/** The session's own mode, where the prompt came by the API: its prompts say none. */
export function modeOf(setup: SessionSetup | null, { trigger }: Submission): Partial<RunOptions> {
  const mode = trigger === "api" ? setup?.engine.permissionMode : undefined;
  return mode === undefined ? {} : { permissionMode: mode };
}

/** What the model is told beside the prompt. */
export function contextOf({ system }: Submission): Partial<RunOptions> {
  return system ? { context: system.content.map((block) => block.text).join("\n\n") } : {};
}

/** What the session's agent says about every run. */
export function fromAgent({ system, effort, tools }: SessionSetup["engine"]): Partial<RunOptions> {
  return {
    ...(system === undefined ? {} : { appendSystemPrompt: system }),
    ...(effort === undefined ? {} : { effort }),
    ...(tools === undefined ? {} : { agent: tools }),
  };
}
