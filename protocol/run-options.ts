import { z } from "zod";
import { AgentSetup } from "./agent-setup.ts";
import { PermissionMode } from "./permission-mode.ts";

/** Limit on turns for requests that name none. */
export const DEFAULT_MAX_TURNS = 3;

/** Options of a run. Each field is the engine's option of that name unless its comment says otherwise. */
export const RunOptions = z.object({
  model: z.string().max(256),
  permissionMode: PermissionMode,
  maxTurns: z.number().int().positive(),
  maxBudgetUsd: z.number().positive().optional(),
  appendSystemPrompt: z.string().optional(),
  allowedTools: z.array(z.string()).optional(),
  disallowedTools: z.array(z.string()).optional(),
  effort: z.enum(["low", "medium", "high", "xhigh", "max"]).optional(),
  agent: AgentSetup.optional(),
  /** Ids of the sessions that wait for this run, outermost first. */
  startedBy: z.array(z.string()).optional(),
  /** Text from the operator that goes to the model with this prompt (`system.message`). */
  context: z.string().optional(),
  /** Record the engine's own messages as `engine.message` events too. */
  includeRaw: z.boolean().optional(),
});
export type RunOptions = z.infer<typeof RunOptions>;
