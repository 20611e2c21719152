import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { ThreadUsage } from "../../accounts/counting.ts";
import type { SessionSetup } from "../../catalog/session-setup.ts";
import type { ResourceChange, SessionResource } from "../../resources/session-resource.ts";
import type { Actor } from "../../storage/audit.ts";
import type { Result } from "../../workspace/copy-session.ts";
import type { Workspace } from "../../workspace/workspace.ts";
import type { LogPage, LogQuery } from "../log/event-log.ts";
import type { RunFacts } from "../log/reading.ts";
import type { RunStory } from "../log/run-story.ts";
import type { StreamShape } from "../log/stream.ts";
import type { Thread } from "../log/threads.ts";
import type { WaitingCall } from "../store/approvals.ts";
import type { SessionFacts, Submission, Submitted } from "../store/facts.ts";
import type { ListedRun } from "../store/run-queue.ts";
import type { SandboxFacts } from "../store/sandbox-facts.ts";

/** Whether a session is deleted; if not, why. */
export type Destroyed = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/**
 * What an account may ask of a session that is its own. `Operations` in `session/operations.ts` implements it. The session
 * checks the account once, before any of these; for another account, or when there is no such session, it answers with the
 * value in `IF_UNKNOWN`.
 */
export interface SessionOperations {
  /** Accepts a prompt. When this returns, the run is stored and will end, whatever crashes. */
  submit(submission: Submission): Submitted;
  /** The session as the API shows it. */
  facts(): SessionFacts;
  /** State of its sandbox. Starts nothing. */
  sandbox(): Promise<SandboxFacts>;
  /** A client has opened the session and may soon send a prompt: starts its engine, at most once between two prompts. */
  opened(): void;
  /** Changes the fields given. */
  change(patch: Partial<Pick<SessionSetup, "title" | "metadata" | "archivedAt">>, actor?: Actor): SessionFacts;
  /** Adds a resource, replaces its sealed credential, or removes it. False: there is no such resource. */
  changeResources(change: ResourceChange): boolean;
  /** A resource with its sealed credential, for the requests of a sandbox. Null: there is no such resource. */
  resource(id: string): SessionResource | null;
  /** Whether the session's sandbox may read a file: it is mounted, or it is a block of the prompt in progress. */
  mayReadFile(fileId: string): boolean;
  /** Its files. */
  workspace(): Workspace;
  /** Answers a tool call that waits. False: no such call waits. */
  answer(toolUseId: string, answer: ToolAnswer, event: SessionEvent, actor: Actor): boolean;
  /** Allows a call that a self-hosted worker carries out. False: no such call waits. */
  allow(toolUseId: string, event: SessionEvent, actor: Actor): boolean;
  /** Whether a self-hosted worker has something to do here: a run is in progress or queued. */
  wantsWork(): boolean;
  /** Tool calls that wait for an answer. */
  waiting(): Omit<WaitingCall, "answer">[];
  /** Stops the run in progress. False: nothing runs. */
  interrupt(actor: Actor): boolean;
  /** Takes a run out of the queue, or stops it. False: it has ended, or there is no such run. */
  cancel(runId: string, actor?: Actor): boolean;
  /** Threads other than the primary one, oldest first. */
  threads(after: number, limit: number, statuses: readonly string[] | null): Thread[];
  /** One of those threads. Null: there is no such thread. */
  thread(id: string): Thread | null;
  /** Archives a thread. False: it is running. Null: there is no such thread. */
  archiveThread(id: string): boolean | null;
  /** How a run ended. Null: it has not ended, or there is no such run. */
  resultOf(runId: string): { text: string; isError: boolean } | null;
  /** A session that this one waits for may have answered. */
  peerEnded(): void;
  /** Runs after a position in the queue's order, oldest first. */
  runs(after: number, limit: number): ListedRun[];
  /** A run, as soon as it has ended, or as it is after `waitMs`. Null: there is no such run. */
  run(runId: string, waitMs?: number): Promise<RunFacts | null>;
  /** Id of the run in progress. Null: nothing runs. */
  current(): string | null;
  exists(): boolean;
  /** `seq` of the newest event. */
  last(): number;
  /** A page of the log as JSON lines. */
  page(query: LogQuery): { lines: readonly string[]; last: number; more: boolean };
  /** The story of a run in lines, read from a `seq` on. */
  tell(after: number, story: RunStory): ReadableStream<Uint8Array>;
  /** The log after a cursor: a `seq`, an event's id, or null for what happens from now on. */
  follow(cursor: string | null, shape: StreamShape): ReadableStream<Uint8Array> | "unknown_event";
  /** Events after a cursor, as soon as there are any; none after `waitMs`. */
  nextPage(
    cursor: string | null,
    shape: Pick<StreamShape, "view" | "previews">,
    waitMs: number,
  ): Promise<LogPage | "unknown_event">;
}

/** Answer of each operation when the account has no such session. */
export const IF_UNKNOWN = {
  submit: { ok: false, error: "unknown_session" },
  facts: null,
  sandbox: null,
  opened: undefined,
  change: null,
  changeResources: false,
  resource: null,
  mayReadFile: false,
  workspace: null,
  answer: null,
  allow: null,
  wantsWork: false,
  waiting: null,
  interrupt: null,
  cancel: null,
  threads: null,
  thread: null,
  archiveThread: null,
  resultOf: null,
  peerEnded: undefined,
  runs: null,
  run: null,
  current: null,
  exists: false,
  last: null,
  page: null,
  tell: null,
  follow: "unknown_session",
  nextPage: "unknown_session",
} as const satisfies Record<keyof SessionOperations, unknown>;

type Guarded<Name extends keyof SessionOperations> = (
  account: string,
  ...args: Parameters<SessionOperations[Name]>
) => GuardedReturn<ReturnType<SessionOperations[Name]>, (typeof IF_UNKNOWN)[Name]>;

type GuardedReturn<Answer, Unknown> = Answer extends Promise<infer Value> ? Promise<Value | Unknown> : Answer | Unknown;

/** The same operations as they are called from outside: the account comes first. */
export type GuardedOperations = { [Name in keyof SessionOperations]: Guarded<Name> };

/** Every method of a session's object. */
export interface SessionApi extends GuardedOperations, ThreadUsage {
  /** Creates the session. A second call for the same id changes nothing. Returns whether it is new. */
  create(account: string, setup?: SessionSetup, resources?: readonly SessionResource[]): boolean;
  /** Makes this session a copy of another one of the account. */
  forkFrom(account: string, source: string, fork: SessionFork): Promise<Result<object>>;
  /**
   * Deletes the session: its log, its queue, its files. The object aborts itself at the end, which the caller sees as an
   * error. When it answers instead, there was nothing to delete, or the session is kept because its files could not be
   * removed.
   */
  destroy(account: string): Promise<Destroyed>;
  /** Whether an engine may call a model with this token now; if so, for which account. */
  authorizeModelCall(token: string): { account: string } | null;
  /** The account that a container's model calls are charged to. Null unless it is the newest start of the container. */
  callerOfStart(startId: string): { account: string } | null;
  /** The container tried to reach a host that its environment does not allow: the log says so. */
  noteBlocked(startId: string, attempt: { host: string; method: string }): void;
  /** A model call of one of the engine's sub-agents has ended. */
  countForThread(taskId: string, usage: ModelUsage): void;
}
