import { z } from "zod";
import { RunOptions } from "../run-options.ts";
import { QueryFlag } from "./common.ts";

/** Bodies of the prompt doors. Their field names are camelCase, unlike those under `/v1`. */

const Text = z.string("is required and must be a string").refine((value) => value.trim() !== "", "must not be empty");

/** Body of `POST /claude-code`. */
export const ClaudeCodeRequest = z.strictObject({
  prompt: Text,
  model: z.string().min(1).max(256).optional(),
  /** `false`: one object at the end; `true`: a stream. Absent: the `Accept` header decides. */
  stream: z.boolean().optional(),
  verbose: z.boolean().default(false),
  /** Adds the engine's own messages as lines of type `raw`. */
  includeRaw: z.boolean().optional(),
  maxTurns: RunOptions.shape.maxTurns.optional(),
  permissionMode: z.string().optional(),
  sessionId: z.string().optional(),
  additionalArgs: z.array(z.string()).default([]),
});

/** Query of `GET /claude-code/{sessionId}/{runId}`. `after` is the `seq` of the last line that the client has. */
export const ClaudeCodeRunQuery = z.strictObject({ after: z.string().optional(), verbose: QueryFlag.optional() });

/** Body of `POST /agent/message`. */
export const AgentMessage = z.strictObject({
  message: Text,
  sessionId: z.string().default("default"),
  model: z.string().min(1).max(256).optional(),
});

/** Body of `POST /query`. */
export const QueryRequest = z.strictObject({ query: Text, accountId: z.string().default("default") });
