import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Env } from "../../base/env.ts";
import { modelsOf } from "../../models/models.ts";
import { checkSpace } from "../../sandbox/space.ts";
import { newSessionId } from "../../sandbox/spares.ts";
import type { Actor } from "../../storage/audit.ts";
import type { Submission } from "../store/facts.ts";
import { mergeOptions } from "../store/run-options.ts";
import { checkOptions } from "./check-options.ts";
import type { CheckedOptions, WantedOptions } from "../store/run-options.ts";
import { MAX_QUEUED } from "../store/run-queue.ts";
import { checkPrompt } from "./check-prompt.ts";
import { namedSession } from "./named-session.ts";
import type { SessionTarget } from "./named-session.ts";
import { noteInIndex } from "./note-in-index.ts";
import { toSessionStub, unknownSession } from "./session-of.ts";
import type { SessionStub } from "./session-of.ts";

/** A prompt as it arrives at Gantry, whatever it comes through. */
export interface NewPrompt extends Omit<Submission, "options" | "runId"> {
  readonly options: WantedOptions;
  /** The caller has run `checkPrompt` already: a request with several prompts is refused before any of them is stored. */
  readonly isChecked?: boolean;
}

/** How a caller that may repeat its prompt finds the session and the run that the first attempt made. */
export interface Repeat {
  /** Id of a new session. Absent: a new id, and the session may take an engine that was started in advance. */
  readonly sessionId?: string;
  /** Id of the run. Absent: a new id. */
  readonly runId?: string;
  /** Called when the prompt is durable. */
  readonly onAccepted?: (isRepeated: boolean) => void;
}

/** An accepted run and where its events begin. */
export interface Accepted {
  readonly sessionId: string;
  readonly runId: string;
  /** `seq` before the run's first event. */
  readonly after: number;
  /** Id of the prompt's `user.message`. */
  readonly eventId: string;
  readonly stub: SessionStub;
}

/**
 * Hands a prompt to a session. Every way in calls this: the HTTP doors, another session, a queue, a webhook, a clock. It
 * checks the prompt and its options, that the disk has room, and creates the session where none is named. When it
 * returns, the prompt is durable. Throws `RequestRefused`, which names the field.
 */
export async function submit(
  env: Env,
  actor: Actor,
  target: SessionTarget,
  { options: wanted, isChecked = false, ...prompt }: NewPrompt,
  repeat: Repeat = {},
): Promise<Accepted> {
  const options = checkOptions(env, wanted);
  if (!isChecked) await checkPrompt(env, actor.account, prompt.prompt, "prompt");
  await checkSpace(env);
  const sessionId =
    target === null
      ? (repeat.sessionId ?? (await newSessionId(env, firstOptions(env, options))))
      : typeof target === "string"
        ? target
        : await namedSession(env, actor, target);
  const stub = toSessionStub(env, sessionId);
  if (target === null) {
    await stub.create(actor.account);
    noteInIndex(env, sessionId, actor);
  }
  const chosenId = repeat.runId === undefined ? {} : { runId: repeat.runId };
  const submitted = await stub.submit(actor.account, { ...prompt, options, ...chosenId });
  if (submitted.ok) {
    repeat.onAccepted?.(submitted.repeated === true);
    const { runId, after, eventId } = submitted;
    return { sessionId, runId, after, eventId, stub };
  }
  switch (submitted.error) {
    case "archived":
      throw new RequestRefused({ code: "conflict", reason: "The session is archived." });
    case "queue_full":
      throw new RequestRefused({ code: "queue_full", max: MAX_QUEUED });
    case "unknown_session":
      throw unknownSession(sessionId);
    default:
      return submitted satisfies never;
  }
}

/** Options of the first run of a session that a prompt alone makes. */
function firstOptions(env: Env, wanted: CheckedOptions): ReturnType<typeof mergeOptions> {
  const model = (): string => modelsOf(env).defaultModel;
  return mergeOptions({ defaultMode: env.GANTRY_PERMISSION_MODE, setup: null, wanted, isApi: false, model });
}
