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
 * The session opens with `hello {epoch, cursor}`. The runner answers `welcome` and sends every frame after the
 * cursor again; frames are numbered per runner and kept until acknowledged, so a link may be cut anywhere. A link
 * with a higher epoch replaces the one before, which the runner closes; one with a lower epoch is refused.
 */

/** Version of this contract. A peer accepts its own and the one before. */
export const PROTOCOL_VERSION = 2;

/** WebSocket close codes of our own. */
export const CLOSE = { replaced: 4001, staleEpoch: 4002, badMessage: 4003, unauthorized: 4004 } as const;

/** What is answered to a tool that waits. */
export const ToolAnswer = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("allow"),
    updatedInput: z.record(z.string(), z.unknown()).optional(),
    /** The mode in which the run goes on. */
    permissionMode: PermissionMode.optional(),
  }),
  z.object({ type: z.literal("deny"), message: z.string() }),
  z.object({ type: z.literal("result"), content: z.array(ClientResultBlock), isError: z.boolean() }),
]);
export type ToolAnswer = z.infer<typeof ToolAnswer>;

/** What an engine needs to start, whoever it is started for. */
export const EngineStart = z.object({
  options: RunOptions,
  /** Id of the engine's own conversation, chosen by us and the same for the whole session. */
  engineSessionId: z.string(),
  models: z.object({
    /** Where the engine sends its model calls. */
    baseUrl: z.string(),
    /** Short-lived token for that; opens nothing else and dies with the session's lease. */
    token: z.string(),
    /** The model's context window in tokens, where the engine cannot know it. */
    contextTokens: z.number().int().positive().optional(),
  }),
  /** Milliseconds without a prompt after which it is ended; the runner's own where it is not said. */
  idleMs: z.number().int().positive().optional(),
  /** What must be there before a run begins; left out: nothing. */
  mounts: z.array(Mount).optional(),
});
export type EngineStart = z.infer<typeof EngineStart>;

/** How an engine is wanted before there is a session for it: what `POST /spares` of the runner takes. */
export const EngineWish = z.object({
  options: RunOptions,
  models: EngineStart.shape.models.omit({ token: true }),
});
export type EngineWish = z.infer<typeof EngineWish>;

/** A tool call whose engine is gone, and what was answered to it since. */
export const AnsweredCall = z.object({
  /** Event id, as in `tool.answer`. */
  toolUseId: z.string(),
  kind: z.enum(["permission", "client"]),
  /** The engine's own id of the call. */
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
    /** Last frame stored, and the runner that sent it. */
    cursor: z.object({ runnerId: z.string(), frame: z.number().int() }).nullable(),
    /** Bytes of each transcript that are mirrored; the runner goes on from there. */
    mirror: z.record(z.string(), z.number().int().nonnegative()).optional(),
  }),
  z.object({ type: z.literal("ack"), frame: z.number().int() }),
  z.object({
    type: z.literal("run.start"),
    runId: z.string(),
    prompt: z.array(PromptBlock),
    ...EngineStart.shape,
    /** A run that takes longer is stopped. */
    deadlineMs: z.number().int().positive(),
    /**
     * The run began with an engine that is gone, and waited for somebody: its prompt is not given again, its
     * conversation goes on with what was answered.
     */
    resume: z.object({ calls: z.array(AnsweredCall) }).optional(),
  }),
  z.object({ type: z.literal("run.interrupt"), runId: z.string() }),
  /** Somebody is about to send a prompt: the engine may start ahead of it. Nothing comes of it when there is no room. */
  z.object({ type: z.literal("engine.warm"), ...EngineStart.shape }),
  /** The answer to an `approval.requested` or an `agent.custom_tool_use`. May come twice. */
  z.object({ type: z.literal("tool.answer"), runId: z.string(), toolUseId: z.string(), answer: ToolAnswer }),
  z.object({ type: z.literal("ping"), at: z.number() }),
]);
export type Command = z.infer<typeof Command>;
export type RunStart = Extract<Command, { type: "run.start" }>;

/** An event in a frame. The runner names it so that previews and results can refer to each other. */
export const FramedEvent = z.intersection(
  // A time that no calendar has would make its whole page of the log unreadable.
  z.object({
    id: z.string().max(64),
    at: z.number().int().nonnegative(),
    /** The sub-agent's thread it happened on; absent on the primary one. */
    thread: z
      .string()
      .regex(/^sthr_[0-9a-z]{1,64}$/)
      .optional(),
    /**
     * With a question: the engine's own id of the call, by which another engine finds it in the conversation.
     * Left out where none can: the call is a sub-agent's, which ends with its engine.
     */
    call: z.string().max(200).optional(),
  }),
  RunnerEvent,
);
export type FramedEvent = z.infer<typeof FramedEvent>;

export const Frame = z.object({
  type: z.literal("frame"),
  /** 1, 2, 3, ... per runner and session. */
  frame: z.number().int().positive(),
  runId: z.string().nullable(),
  /** Kept as it came; each is checked on its own, so that one bad event does not cost the others. */
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
    /** Runs that ended here lately, so that a start that was delivered twice is seen as such. */
    endedRunIds: z.array(z.string()),
    /** What an engine that was started before the session was made shows the router; the lease takes it over. */
    engineToken: z.string().max(200).optional(),
    /** The run that was last `parked` here; the report comes again, after the frames that led there. */
    parkedRunId: z.string().optional(),
    /** Name of the session's folder, made with it; null when the runner has none. */
    folder: z.string().max(64).nullish(),
    /** The runner is ending and takes no run. */
    draining: z.boolean().optional(),
  }),
  Frame,
  /**
   * The run waits for somebody and its engine was ended before anything that it asked about had begun. Nothing of it
   * is here any more; whoever gets its answers goes on with it. `frame`: the last one that led there.
   */
  z.object({ type: z.literal("parked"), runId: z.string(), frame: z.number().int().nonnegative().optional() }),
  /** The session's folder was made: its name, as the next `welcome` says it. */
  z.object({ type: z.literal("folder"), folder: z.string().max(64) }),
  /**
   * A piece of a transcript of the engine, while it is written: bytes from `at` on, of a file whose end was there; 0
   * begins it anew. Needs no acknowledgement: the next `hello` says what has come.
   */
  z.object({
    type: z.literal("transcript"),
    file: z.string().refine(isTranscript, "is no transcript"),
    at: z.number().int().nonnegative(),
    data: z.string().min(1).max(200_000),
  }),
  /** The runner is ending, or still at another run, and did not take this one: it may be sent again. */
  z.object({ type: z.literal("refused"), runId: z.string() }),
  z.object({ type: z.literal("pong"), at: z.number() }),
]);
export type Report = z.infer<typeof Report>;

/** The version in which a message was new. A peer closes its link over one that it cannot read. */
const SINCE: Partial<Record<Command["type"] | Report["type"], number>> = {
  "engine.warm": 2,
  parked: 2,
  folder: 2,
  transcript: 2,
};

/**
 * Whether a peer of that version can read a message. Fields that came later are optional, and who does not know them leaves
 * them out; a whole message that it does not know is not sent to it.
 */
export function isReadableBy(protocol: number, message: Command | Report): boolean {
  return (SINCE[message.type] ?? 1) <= protocol;
}
