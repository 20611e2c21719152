import { z } from "zod";
import { RunOptions } from "../run-options.ts";

/** Bodies of the container server's own routes (`runner/http/container-routes.ts`) and of the Worker's door to them. */

/** `POST /` of a container. What is left out falls back to its environment: `CLAUDE_PROMPT`, `ANTHROPIC_MODEL`, ... */
export const ContainerRequest = z.strictObject({
  prompt: z.string().optional(),
  model: z.string().min(1).optional(),
  stream: z.boolean().optional(),
  verbose: z.boolean().optional(),
  maxTurns: RunOptions.shape.maxTurns.optional(),
  permissionMode: z.enum(["default", "acceptEdits", "bypassPermissions", "full", "plan", "dontAsk"]).optional(),
  /** A name of the caller's, or an id that an answer gave: the conversation and its files go on. */
  sessionId: z
    .string()
    .regex(/^[\w.:-]{1,128}$/, "must be 1 to 128 letters, digits or . _ : -")
    .optional(),
  /** False: a new conversation, whatever `sessionId` says. */
  continueSession: z.boolean().optional(),
  /** Each session works in a folder that is `/workspace` to its caller. */
  cwd: z.literal("/workspace").optional(),
  systemPrompt: z.string().optional(),
  allowedTools: z.array(z.string()).optional(),
});

/** `POST /container/process` of the Worker. Issues come by the signed webhook, where it is known who sent them. */
export const ContainerProcess = z.strictObject({
  type: z.literal("prompt", { error: 'must be "prompt"; issues are taken by POST /webhook/github' }),
  payload: z.strictObject({
    prompt: z.string().refine((text) => text.trim() !== "", "must not be empty"),
    sessionId: z.string().optional(),
  }),
  config: z
    .strictObject({
      model: z.string().min(1).optional(),
      maxTurns: RunOptions.shape.maxTurns.optional(),
      permissionMode: z.string().optional(),
    })
    .default({}),
});
