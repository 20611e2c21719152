import type { EngineStart } from "@gantry/protocol/link.ts";
import { isClaude } from "./environment.ts";

/** The settings that an engine cannot change after its start. A run with another profile gets a new engine. */
export function engineProfile(command: EngineStart): string {
  const {
    maxTurns,
    maxBudgetUsd,
    appendSystemPrompt,
    allowedTools,
    disallowedTools,
    effort,
    model,
    agent,
    permissionMode,
  } = command.options;
  return JSON.stringify([
    maxTurns,
    maxBudgetUsd,
    appendSystemPrompt,
    allowedTools,
    disallowedTools,
    effort,
    isClaude(model),
    agent,
    command.models,
    // Plan mode has one more tool.
    agent !== undefined && permissionMode === "plan",
    // Git reads its repositories from the environment.
    (command.mounts ?? []).filter((mount) => mount.type === "repository").map(({ id }) => id),
  ]);
}

/** Whether the model will probably get a context besides its prompts: about its mounts, or from the agent's operator. */
export function expectsContext({ options, mounts = [] }: EngineStart): boolean {
  return options.agent !== undefined || mounts.length > 0;
}
