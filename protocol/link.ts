import { z } from "zod";
import { ClientResultBlock, PromptBlock } from "./content.ts";
import { RunnerEvent } from "./event.ts";
import { Mount } from "./mount.ts";
import { PermissionMode } from "./permission-mode.ts";
import { RunOptions } from "./run-options.ts";
import { isTranscript } from "./snapshot.ts";

/**
 * The link: one WebSocket between a session and its runner, dialled by the session.
 *
 * The session opens with `hello {epoch, cursor}`. The runner answers `welcome` and resends every frame after the cursor.
 * The runner numbers its frames and keeps them until they are acknowledged, so a link may break at any point. When a link
 * with a higher epoch opens, the runner closes the previous one; it refuses a link with a lower epoch.
 */

/** Version of this contract. A peer accepts its own version and the previous one. */
export const PROTOCOL_VERSION = 2;

/** WebSocket close codes of this contract. */
export const CLOSE = { replaced: 4001, staleEpoch: 4002, badMessage: 4003, unauthorized: 4004 } as const;

/** The answer to a waiting tool call. */
export const ToolAnswer = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("allow"),
    updatedInput: z.record(z.string(), z.unknown()).optional(),
    /** The permission mode in which the run goes on. */
    permissionMode: PermissionMode.optional(),
  }),
  z.object({ type: z.literal("deny"), message: z.string() }),
  z.object({ type: z.literal("result"), content: z.array(ClientResultBlock), isError: z.boolean() }),
]);
export type ToolAnswer = z.infer<typeof ToolAnswer>;

/** Everything an engine needs to start. */
export const EngineStart = z.object({
  options: RunOptions,
  /** Id of the engine's conversation. The session chooses it and never changes it. */
  engineSessionId: z.string(),
  models: z.object({
    /** Base URL for the engine's model calls. */
    baseUrl: z.string(),
    /** Token for those calls. It opens nothing else and expires with the session's lease. */
    token: z.string(),
    /** The model's context window in tokens, when the engine cannot know it. */
    contextTokens: z.number().int().positive().optional(),
  }),
  /** Milliseconds without a prompt after which the engine is stopped; the default is the runner's. */
  idleMs: z.number().int().positive().optional(),
  /** Files and repositories to mount before a run begins; none by default. */
  mounts: z.array(Mount).optional(),
});
export type EngineStart = z.infer<typeof EngineStart>;

/** An engine to start before its session exists: the body of the runner's `POST /spares`. */
export const EngineWish = z.object({
  options: RunOptions,
  models: EngineStart.shape.models.omit({ token: true }),
});
export type EngineWish = z.infer<typeof EngineWish>;

/** A tool call whose engine is gone, with the answer that has arrived since. */
export const AnsweredCall = z.object({
  /** Event id, as in `tool.answer`. */
  toolUseId: z.string(),
  kind: z.enum(["permission", "client"]),
  /** The engine's id of the call. */
  call: z.string(),
  tool: z.string(),
  input: z.record(z.string(), z.unknown()),
  answer: ToolAnswer,
});
export type AnsweredCall = z.infer<typeof AnsweredCall>;

/** Session → runner. */
export const Command = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("hello"),
    protocol: z.number().int(),
    epoch: z.number().int(),
    /** The last stored frame and the runner that sent it; null when there is none. */
    cursor: z.object({ runnerId: z.string(), frame: z.number().int() }).nullable(),
    /** Mirrored bytes of each transcript. The runner continues after them. */
    mirror: z.record(z.string(), z.number().int().nonnegative()).optional(),
  }),
  z.object({ type: z.literal("ack"), frame: z.number().int() }),
  z.object({
    type: z.literal("run.start"),
    runId: z.string(),
    prompt: z.array(PromptBlock),
    ...EngineStart.shape,
    /** Longest duration of the run in milliseconds. The runner stops a run that takes longer. */
    deadlineMs: z.number().int().positive(),
    /**
     * Present when the run began in an engine that is gone and waited for answers. The new engine does not get the prompt
     * again; it continues the conversation with these answers.
     */
    resume: z.object({ calls: z.array(AnsweredCall) }).optional(),
  }),
  z.object({ type: z.literal("run.interrupt"), runId: z.string() }),
  /** A prompt is likely soon, so the engine may start ahead of it. The runner ignores this when it has no capacity. */
  z.object({ type: z.literal("engine.warm"), ...EngineStart.shape }),
  /** The answer to an `approval.requested` or an `agent.custom_tool_use`. It may arrive twice. */
  z.object({ type: z.literal("tool.answer"), runId: z.string(), toolUseId: z.string(), answer: ToolAnswer }),
  z.object({ type: z.literal("ping"), at: z.number() }),
]);
export type Command = z.infer<typeof Command>;
export type RunStart = Extract<Command, { type: "run.start" }>;

/** An event in a frame. The runner assigns the id, so that previews and results can refer to each other. */
export const FramedEvent = z.intersection(
  // A time outside any calendar would make a whole page of the log unreadable.
  z.object({
    id: z.string().max(64),
    at: z.number().int().nonnegative(),
    /** The sub-agent's thread that the event happened on; absent on the primary thread. */
    thread: z
      .string()
      .regex(/^sthr_[0-9a-z]{1,64}$/)
      .optional(),
    /**
     * For a call that waits: the engine's id of the call, by which another engine finds it in the conversation. Absent for
     * a sub-agent's call, which ends with its engine.
     */
    call: z.string().max(200).optional(),
  }),
  RunnerEvent,
);
export type FramedEvent = z.infer<typeof FramedEvent>;

export const Frame = z.object({
  type: z.literal("frame"),
  /** Number of the frame: 1, 2, 3, ... per runner and session. */
  frame: z.number().int().positive(),
  runId: z.string().nullable(),
  /** Unchecked here. The receiver checks each event on its own, so that an invalid one does not lose the others. */
  events: z.array(z.unknown()),
});
export type Frame = z.infer<typeof Frame>;

/** Runner → session. */
export const Report = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("welcome"),
    protocol: z.number().int(),
    runnerId: z.string(),
    /** The run in progress, if any. */
    activeRunId: z.string().nullable(),
    /** Runs that recently ended on this runner, so that the session recognizes a start that was delivered twice. */
    endedRunIds: z.array(z.string()),
    /** Token of an engine that was started before its session existed. The session's lease adopts it. */
    engineToken: z.string().max(200).optional(),
    /** The run that was last `parked` here. That report follows again, after the frames before it. */
    parkedRunId: z.string().optional(),
    /** Name of the session's folder, created together with it; null when the runner has no folder. */
    folder: z.string().max(64).nullish(),
    /** The runner is shutting down and accepts no run. */
    draining: z.boolean().optional(),
  }),
  Frame,
  /**
   * The run waits for answers and its engine was stopped before any of the waiting calls began. The runner holds nothing
   * of the run any more; the runner that gets the answers continues it. `frame` is the last frame before this report.
   */
  z.object({ type: z.literal("parked"), runId: z.string(), frame: z.number().int().nonnegative().optional() }),
  /** The session's folder was created. The next `welcome` has the same name. */
  z.object({ type: z.literal("folder"), folder: z.string().max(64) }),
  /**
   * A piece of the engine's transcript while the engine writes it: bytes to append at offset `at`; 0 starts the file over.
   * It needs no acknowledgement, because the next `hello` says how much has arrived.
   */
  z.object({
    type: z.literal("transcript"),
    file: z.string().refine(isTranscript, "is not a transcript"),
    at: z.number().int().nonnegative(),
    data: z.string().min(1).max(200_000),
  }),
  /** The runner did not accept the run, because it is shutting down or busy with another. The run may be sent again. */
  z.object({ type: z.literal("refused"), runId: z.string() }),
  z.object({ type: z.literal("pong"), at: z.number() }),
]);
export type Report = z.infer<typeof Report>;

/** The version that introduced a message; 1 for all others. A peer closes its link when it cannot read a message. */
const SINCE: Partial<Record<Command["type"] | Report["type"], number>> = {
  "engine.warm": 2,
  parked: 2,
  folder: 2,
  transcript: 2,
};

/**
 * Whether a peer with this protocol version can read a message. A message that it does not know must not be sent to it.
 * Newer fields need no check: they are optional, and an older peer ignores them.
 */
export function isReadableBy(protocol: number, message: Command | Report): boolean {
  return (SINCE[message.type] ?? 1) <= protocol;
}
