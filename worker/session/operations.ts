import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { NO_SETUP } from "../catalog/session-setup.ts";
import type { SessionSetup } from "../catalog/session-setup.ts";
import type { ResourceChange, SessionResource } from "../resources/session-resource.ts";
import type { Actor } from "../storage/audit.ts";
import { numberOf, textOf } from "../storage/sql.ts";
import { stepsOf } from "../triage/steps.ts";
import type { Workspace } from "../workspace/workspace.ts";
import type { SessionOperations } from "./call/session-api.ts";
import { accept } from "./drive/driver.ts";
import type { LogPage, LogQuery } from "./log/event-log.ts";
import { pageWithin, resultOf, runWithin, sumUsage } from "./log/reading.ts";
import type { RunFacts } from "./log/reading.ts";
import { promptContainsFile } from "./log/prompt-files.ts";
import { storyTeller } from "./log/run-story.ts";
import type { RunStory } from "./log/run-story.ts";
import { streamLog } from "./log/stream.ts";
import type { StreamShape } from "./log/stream.ts";
import type { Thread } from "./log/threads.ts";
import type { Assembly } from "./parts/assemble.ts";
import type { WaitingCall } from "./store/approvals.ts";
import type { SessionFacts, Submission, Submitted } from "./store/facts.ts";
import { AGENT_MAX_TURNS, mergeOptions } from "./store/run-options.ts";
import type { ListedRun } from "./store/run-queue.ts";
import { keyHolds, mayReadOn } from "./sockets/key-holds.ts";
import { askSandbox, sandboxFacts } from "./store/sandbox-facts.ts";
import type { SandboxFacts } from "./store/sandbox-facts.ts";

/** What an account may ask of its session; `SessionOperations` explains each. The session has checked the account. */
export class Operations implements SessionOperations {
  readonly #parts: Assembly;

  constructor(parts: Assembly) {
    this.#parts = parts;
  }

  submit(submission: Submission): Submitted {
    const { driver, log, env, model } = this.#parts;
    driver.expect();
    const submitted = accept(this.#parts, submission, { defaultMode: env.GANTRY_PERMISSION_MODE, model });
    if (!submitted.ok || submitted.repeated) return submitted;
    log.announce();
    driver.kick();
    return submitted;
  }

  facts(): SessionFacts {
    const { sql, settings, log, queue, resources, threads, model } = this.#parts;
    const row = sql.exec("SELECT id, created_at FROM session").toArray()[0];
    const { engine: _engine, ...setup } = settings.setup() ?? NO_SETUP;
    const mainUsage = log.totals.usage();
    return {
      id: textOf(row, "id"),
      setup,
      status: queue.status(),
      createdAt: numberOf(row, "created_at"),
      resources: resources.shown(),
      model: model(),
      usage: sumUsage(mainUsage, threads.usage()),
      mainUsage,
      activeMs: log.totals.activeMs(Date.now()),
      lastAt: log.lastAt(),
    };
  }

  async sandbox(): Promise<SandboxFacts> {
    const { sandbox, sessionId, queue, snapshots } = this.#parts;
    const report = await askSandbox(sandbox, sessionId);
    return sandboxFacts(report, queue.running()?.sentTo ?? null, snapshots.saving);
  }

  opened(): void {
    const { env, sandbox, settings, queue, driver, model } = this.#parts;
    if (sandbox.costsToStart()) return;
    const setup = settings.setup() ?? NO_SETUP;
    const runs = queue.count();
    // A session without a prompt takes a spare engine later: a thousand that are only opened must not start a thousand.
    if (runs === 0) return;
    // Where triage may answer, no engine starts before it has looked. A program that polls must not keep one alive.
    if (stepsOf(env).length > 0 || setup.archivedAt !== null || settings.warmedAfter() === runs) return;
    settings.saveWarmedAfter(runs);
    const first = (): RunOptions =>
      mergeOptions({
        defaultMode: env.GANTRY_PERMISSION_MODE,
        setup,
        wanted: { maxTurns: AGENT_MAX_TURNS },
        isApi: false,
        model,
      });
    driver.warm(queue.lastOptions() ?? first());
  }

  change(patch: Partial<Pick<SessionSetup, "title" | "metadata" | "archivedAt">>, actor?: Actor): SessionFacts {
    const { settings, audit, sessionId } = this.#parts;
    settings.saveSetup({ ...(settings.setup() ?? NO_SETUP), ...patch, updatedAt: Date.now() });
    return audit.note(this.facts(), actor, "session.update", sessionId);
  }

  changeResources(change: ResourceChange): boolean {
    return this.#parts.resources.change(change, Date.now());
  }

  resource(id: string): SessionResource | null {
    return this.#parts.resources.get(id);
  }

  mayReadFile(fileId: string): boolean {
    const { queue, resources, log } = this.#parts;
    const run = queue.running();
    return run !== null && (resources.holds(fileId) || promptContainsFile(log.payload(run.promptSeq), fileId));
  }

  workspace(): Workspace {
    return this.#parts.workspace;
  }

  answer(toolUseId: string, answer: ToolAnswer, event: SessionEvent, actor: Actor): boolean {
    const { audit, driver } = this.#parts;
    return audit.note(driver.answer(toolUseId, answer, event), actor, "approval.answer", toolUseId);
  }

  allow(toolUseId: string, event: SessionEvent, actor: Actor): boolean {
    const { audit, driver } = this.#parts;
    return audit.note(driver.allow(toolUseId, event), actor, "approval.answer", toolUseId);
  }

  wantsWork(): boolean {
    const { settings, queue } = this.#parts;
    return settings.selfHostedIn() !== null && (queue.running() ?? queue.next()) !== null;
  }

  waiting(): Omit<WaitingCall, "answer">[] {
    return this.#parts.approvals.open().map(({ answer: _answer, ...call }) => call);
  }

  interrupt(actor: Actor): boolean {
    const { audit, driver, sessionId } = this.#parts;
    return audit.note(driver.interrupt(), actor, "run.interrupt", sessionId);
  }

  cancel(runId: string, actor?: Actor): boolean {
    const { audit, driver } = this.#parts;
    return audit.note(driver.cancel(runId), actor, "run.cancel", runId);
  }

  threads(after: number, limit: number, statuses: readonly string[] | null): Thread[] {
    return this.#parts.threads.list(after, limit, statuses);
  }

  thread(id: string): Thread | null {
    return this.#parts.threads.get(id);
  }

  archiveThread(id: string): boolean | null {
    const thread = this.thread(id);
    if (!thread || thread.status === "running") return thread && false;
    this.#parts.threads.archive(id, Date.now());
    return true;
  }

  resultOf(runId: string): { text: string; isError: boolean } | null {
    const { log, queue } = this.#parts;
    return resultOf(log, queue, runId);
  }

  peerEnded(): void {
    this.#parts.driver.carryOutPeerCalls();
  }

  runs(after: number, limit: number): ListedRun[] {
    return this.#parts.queue.list(after, limit);
  }

  async run(runId: string, waitMs = 0): Promise<RunFacts | null> {
    const { driver, log, queue } = this.#parts;
    driver.kick();
    return runWithin(log, queue, runId, waitMs);
  }

  current(): string | null {
    return this.#parts.queue.running()?.id ?? null;
  }

  exists(): boolean {
    return true;
  }

  last(): number {
    return this.#parts.log.last();
  }

  page(query: LogQuery): { lines: readonly string[]; last: number; more: boolean } {
    return this.#parts.log.list(query);
  }

  tell(after: number, story: RunStory): ReadableStream<Uint8Array> {
    const { driver, log, sessionId } = this.#parts;
    driver.kick();
    const { format, runId, keyId } = story;
    const shape = { format, view: "all", previews: true, untilRun: runId, keyId } as const;
    return streamLog(log, after, shape, () => this.#mayReadOn(keyId), storyTeller(sessionId, story));
  }

  follow(cursor: string | null, shape: StreamShape): ReadableStream<Uint8Array> | "unknown_event" {
    const after = this.seqAt(cursor);
    if (after === null) return "unknown_event";
    this.#parts.driver.kick();
    if (shape.untilRun === null) this.opened();
    return streamLog(this.#parts.log, after, shape, () => this.#mayReadOn(shape.keyId));
  }

  #mayReadOn(keyId: string): Promise<boolean> {
    const { env, waitUntil } = this.#parts;
    return mayReadOn(keyHolds(env, keyId, waitUntil));
  }

  async nextPage(
    cursor: string | null,
    shape: Pick<StreamShape, "view" | "previews">,
    waitMs: number,
  ): Promise<LogPage | "unknown_event"> {
    const after = this.seqAt(cursor);
    return after === null ? "unknown_event" : pageWithin(this.#parts.log, after, shape, waitMs);
  }

  /** `seq` that a cursor stands for: a `seq`, an event's id, or null for the newest event. Null for an unknown id. */
  seqAt(cursor: string | null): number | null {
    const { log } = this.#parts;
    if (cursor === null) return log.last();
    return /^\d{1,15}$/.test(cursor) ? Number(cursor) : log.seqOf(cursor);
  }
}
