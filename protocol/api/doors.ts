import { z } from "zod";
import { RunOptions } from "../run-options.ts";
import { QueryFlag } from "./common.ts";

/** Bodies of the seeds' doors, in the seeds' words. */

const Text = z.string("is required and must be a text").refine((value) => value.trim() !== "", "must not be empty");

/** Body of `POST /claude-code`. */
export const ClaudeCodeRequest = z.strictObject({
  prompt: Text,
  model: z.string().min(1).optional(),
  /** `false`: one object at the end. Not given: as the `Accept` header says. */
  stream: z.boolean().optional(),
  verbose: z.boolean().default(false),
  /** The engine's own messages too, as lines of the type `raw`. */
  includeRaw: z.boolean().optional(),
  maxTurns: RunOptions.shape.maxTurns.optional(),
  permissionMode: z.string().optional(),
  sessionId: z.string().optional(),
  additionalArgs: z.array(z.string()).default([]),
});

/** The story of a run once more: `after` is the `seq` of the last line that the client has. */
export const ClaudeCodeRunQuery = z.strictObject({ after: z.string().optional(), verbose: QueryFlag.optional() });

/** Body of `POST /agent/message`. */
export const AgentMessage = z.strictObject({
  message: Text,
  sessionId: z.string().default("default"),
  model: z.string().min(1).optional(),
});

/** Body of `POST /query`. */
export const QueryRequest = z.strictObject({ query: Text, accountId: z.string().default("default") });
