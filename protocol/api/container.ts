import { z } from "zod";
import { RunOptions } from "../run-options.ts";

/** Bodies of the container's own HTTP routes (`runner/http/container-routes.ts`), and of the Worker's `/container/process`. */

/** Body of a container's `POST /`. Absent fields come from its environment: `CLAUDE_PROMPT`, `ANTHROPIC_MODEL`, ... */
export const ContainerRequest = z.strictObject({
  prompt: z.string().optional(),
  model: z.string().min(1).max(256).optional(),
  stream: z.boolean().optional(),
  verbose: z.boolean().optional(),
  maxTurns: RunOptions.shape.maxTurns.optional(),
  permissionMode: z.enum(["default", "acceptEdits", "bypassPermissions", "full", "plan", "dontAsk"]).optional(),
  /** A name that the client chooses, or the id from an earlier answer. It continues that conversation with its files. */
  sessionId: z
    .string()
    .regex(/^[\w.:-]{1,128}$/, "must be 1 to 128 letters, digits or . _ : -")
    .optional(),
  /** False starts a new conversation even if `sessionId` is given. */
  continueSession: z.boolean().optional(),
  /** Accepted for compatibility: a session's folder is always shown as `/workspace`. */
  cwd: z.literal("/workspace").optional(),
  systemPrompt: z.string().optional(),
  allowedTools: z.array(z.string()).optional(),
});

/** Body of `POST /container/process`. It does not take issues: a signed webhook proves who sent them. */
export const ContainerProcess = z.strictObject({
  type: z.literal("prompt", { error: 'must be "prompt"; issues are taken by POST /webhook/github' }),
  payload: z.strictObject({
    prompt: z.string().refine((text) => text.trim() !== "", "must not be empty"),
    sessionId: z.string().optional(),
  }),
  config: z
    .strictObject({
      model: z.string().min(1).max(256).optional(),
      maxTurns: RunOptions.shape.maxTurns.optional(),
      permissionMode: z.string().optional(),
    })
    .default({}),
});
