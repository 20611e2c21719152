import { DurableObject } from "cloudflare:workers";
import { accept } from "./drive/accept.ts";
import type { Parts } from "./drive/accept.ts";
import { engineSessionIdOf, engineToken, isEngineToken, newId } from "@gantry/protocol/ids.ts";
import type { ModelUsage, SessionEvent } from "@gantry/protocol/event.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { Actor } from "../storage/audit.ts";
import type { Env } from "../base/env.ts";
import { AuditOutbox } from "./store/audit-outbox.ts";
import { report } from "../base/log.ts";
import { contextTokensOf, modelsOf } from "../models/models.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { sandboxOf } from "./parts/sandbox.ts";
import { Approvals } from "./store/approvals.ts";
import type { WaitingCall } from "./store/approvals.ts";
import { stepsOf } from "../triage/steps.ts";
import { Driver } from "./drive/driver.ts";
import type { SessionFacts, Submission, Submitted } from "./store/facts.ts";
import { EventLog } from "./log/event-log.ts";
import type { LogPage, LogQuery } from "./log/event-log.ts";
import { BlockedHosts } from "./log/blocked-hosts.ts";
import { Lease, sameText } from "./store/lease.ts";
import { dial } from "./link/dial.ts";
import { pageWithin, resultOf, runWithin, sumUsage } from "./log/reading.ts";
import type { RunFacts } from "./log/reading.ts";
import { deadlineOf, firstOptions } from "./store/run-defaults.ts";
import { peersOf, tellWhoWaits } from "./drive/peer-actions.ts";
import { remembered } from "../storage/remembered.ts";
import { Rest } from "./drive/rest.ts";
import { Resources } from "./store/resources.ts";
import type { ResourceChange, SessionResource } from "./store/resources.ts";
import { RunQueue } from "./store/run-queue.ts";
import type { ListedRun } from "./store/run-queue.ts";
import { askSandbox, sandboxFacts } from "./drive/sandbox-life.ts";
import type { SandboxFacts } from "./drive/sandbox-life.ts";
import { NO_SETUP, Settings } from "./store/settings.ts";
import type { SessionSetup } from "./store/settings.ts";
import { Alarms } from "./store/alarms.ts";
import { snapshotsOf } from "./parts/snapshots.ts";
import { bringUpToDate, createTables, numberOf, tablesExist, textOf } from "./sql.ts";
import { Sockets, fromSocketRequest, readSocketMessage } from "./sockets/sockets.ts";
import { storyTeller } from "./log/run-story.ts";
import type { SeedStory } from "./log/run-story.ts";
import { streamLog } from "./log/stream.ts";
import type { StreamShape } from "./log/stream.ts";
import { tellWaiting, tellWork } from "./drive/tell-waiting.ts";
import { engineSessionIn, unknown, workspaceOf } from "./parts/workspace.ts";
import type { Workspace } from "../workspace/workspace.ts";
import type { Result } from "../workspace/workspace.ts";
import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import { Threads } from "./log/threads.ts";
import type { Thread } from "./log/threads.ts";

/**
 * A session: a conversation and its files. One object each, named by the session's id; it owns the log, the queue and
 * the driver, and only passes calls on to them.
 */
export class Session extends DurableObject<Env> {
  readonly #log: EventLog;
  readonly #queue: RunQueue;
  readonly #lease: Lease;
  readonly #approvals: Approvals;
  readonly #threads: Threads;
  readonly #audit: AuditOutbox;
  readonly #resources: Resources;
  readonly #settings: Settings;
  readonly #alarms: Alarms;
  readonly #driver: Driver;
  readonly #snapshots: ReturnType<typeof snapshotsOf>;
  readonly #sockets: Sockets;
  readonly #sandbox: Sandbox;
  readonly #blocked: BlockedHosts;
  readonly #rest: Rest;
  readonly #workspace: Workspace;
  readonly #parts: Parts;
  #exists: boolean;
  /** Never changes, and every call asks for it. */
  #owner: string | null = null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql, transaction } = remembered(ctx.storage.sql, (work) => ctx.storage.transactionSync(work));
    this.#log = new EventLog(sql, () => {
      this.#sockets.pump();
      this.#tellIndex();
    });
    this.#queue = new RunQueue(sql);
    this.#lease = new Lease(sql);
    this.#approvals = new Approvals(sql);
    this.#threads = new Threads(sql);
    this.#audit = new AuditOutbox(sql, env, (work) => ctx.waitUntil(work));
    this.#resources = new Resources(sql);
    this.#settings = new Settings(sql);
    const sessionId = ctx.id.name ?? "";
    this.#sandbox = sandboxOf(ctx, env, this.#settings, () => this.#account());
    this.#blocked = new BlockedHosts(this.#log, this.#queue);
    const account = (): string => this.#account();
    const parts: Parts = {
      sql,
      sessionId,
      transaction,
      log: this.#log,
      queue: this.#queue,
      lease: this.#lease,
      approvals: this.#approvals,
      threads: this.#threads,
      settings: this.#settings,
      resources: this.#resources,
    };
    this.#alarms = new Alarms(sql, (at) => void ctx.storage.setAlarm(at));
    this.#parts = parts;
    this.#snapshots = snapshotsOf(env, this.#sandbox, sessionId, {
      ...parts,
      setAlarm: (at) => this.#alarms.set("snapshots", at),
      account,
    });
    this.#rest = new Rest(this.#sandbox, this.#alarms, this.#queue, this.#settings);
    this.#driver = new Driver({
      ...parts,
      peers: peersOf(env, this.#settings, account, parts),
      onEnded: (run) => ctx.waitUntil(tellWhoWaits(env, this.#account(), run)),
      triage: { sql, steps: stepsOf(env), owner: () => ({ account: account(), sessionId }) },
      dial: (hello, on) => dial(this.#sandbox, sessionId, { ...hello, mirror: this.#snapshots.transcripts.ends() }, on),
      files: this.#snapshots,
      setAlarm: (at) => this.#rest.runsUntil(at),
      now: () => Date.now(),
      newEventId: () => newId("event"),
      newToken: (offered) =>
        offered !== undefined && isEngineToken(sessionId, offered) ? offered : engineToken(sessionId),
      engineSessionId: () => engineSessionIn(sql),
      idleMs: () => this.#settings.setup()?.sleepAfterMs,
      models: (model) => ({ ...this.#sandbox.models, ...contextTokensOf(env, model) }),
      mounts: () => this.#resources.list().map((resource) => resource.mount),
      deadlineMs: deadlineOf(env.GANTRY_RUN_MINUTES),
      report: (entry) => report({ sessionId, ...entry }),
    });
    this.#workspace = workspaceOf(this.#sandbox, {
      ...parts,
      snapshots: this.#snapshots,
      unlink: () => this.#driver.drop("files are replaced"),
    });
    this.#exists = tablesExist(sql);
    if (this.#exists) bringUpToDate(sql);
    this.#sockets = new Sockets(this.#log, ctx);
  }

  /** Opens a WebSocket that shows the log from `after` on. The door has authenticated it; see `socketRequest`. */
  override fetch(request: Request): Response {
    const { cursor, ...opening } = fromSocketRequest(request);
    if (!this.#mayUse(opening.account)) return new Response("session", { status: 404 });
    const after = this.#place(cursor);
    if (after === null) return new Response("event", { status: 404 });
    this.opened(opening.account);
    return this.#sockets.accept(request, { ...opening, after });
  }

  override webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): void {
    const { account, view } = this.#sockets.stateOf(socket);
    const answer = readSocketMessage(this.env, data, view, {
      confirm: (seq) => this.#sockets.confirm(socket, seq),
      submit: (submission) => this.submit(account, submission),
    });
    if (answer) socket.send(JSON.stringify(answer));
  }

  override webSocketError(socket: WebSocket): void {
    this.#sockets.closed(socket);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#sockets.closed(socket, code, reason);
  }

  /** Makes the session. A second call for the same id changes nothing. Returns whether it is new. */
  create(account: string, setup: SessionSetup = NO_SETUP, resources: readonly SessionResource[] = []): boolean {
    if (this.#exists) return false;
    const { sql, transaction } = this.#parts;
    transaction(() => {
      createTables(sql);
      sql.exec(
        "INSERT INTO session (id, account, created_at, engine_session_id) VALUES (?, ?, ?, ?)",
        this.ctx.id.name ?? "",
        account,
        Date.now(),
        engineSessionIdOf(this.ctx.id.name ?? ""),
      );
      this.#settings.saveSetup(setup);
      for (const resource of resources) this.#resources.add(resource);
    });
    this.#exists = true;
    return true;
  }

  /** Accepts a prompt: when this returns, it is stored, and it will end whatever dies. */
  submit(account: string, submission: Submission): Submitted {
    if (!this.#mayUse(account)) return { ok: false, error: "unknown_session" };
    this.#driver.expect();
    const submitted = accept(this.#parts, submission, () => this.#model());
    if (!submitted.ok || submitted.repeated) return submitted;
    this.#log.announce();
    this.#driver.kick();
    return submitted;
  }

  /** What there is to tell of it. Null for an unknown session. */
  facts(account: string): SessionFacts | null {
    if (!this.#mayUse(account)) return null;
    const row = this.#parts.sql.exec("SELECT id, created_at FROM session").toArray()[0];
    const { engine: _engine, ...setup } = this.#settings.setup() ?? NO_SETUP;
    const mainUsage = this.#log.totals.usage();
    return {
      id: textOf(row, "id"),
      setup,
      status: this.#queue.status(),
      createdAt: numberOf(row, "created_at"),
      resources: this.#resources.shown(),
      model: this.#model(),
      usage: sumUsage(mainUsage, this.#threads.usage()),
      mainUsage,
      activeMs: this.#log.totals.activeMs(Date.now()),
      lastAt: this.#log.lastAt(),
    };
  }

  /** How its sandbox is. Null for an unknown session. Starts nothing. */
  async sandbox(account: string): Promise<SandboxFacts | null> {
    if (!this.#mayUse(account)) return null;
    const report = await askSandbox(this.#sandbox, this.ctx.id.name ?? "");
    return sandboxFacts(report, this.#queue.running()?.sentTo ?? null, this.#snapshots.saving);
  }

  /**
   * Somebody looks at the session, and may be about to send a prompt: its engine starts ahead of that. Once until the
   * next prompt, or a program that looks every second would keep it for ever.
   */
  opened(account: string): void {
    if (!this.#mayUse(account) || this.#sandbox.costsToStart()) return;
    const setup = this.#settings.setup() ?? NO_SETUP;
    const runs = this.#queue.count();
    // One that nobody has talked to is for a spare engine: a thousand that are only opened must not start a thousand.
    if (runs === 0) return;
    // Where triage may answer, no engine starts before it has looked.
    if (stepsOf(this.env).length > 0 || setup.archivedAt !== null || this.#settings.warmedAfter() === runs) return;
    this.#settings.saveWarmedAfter(runs);
    this.#driver.warm(this.#queue.lastOptions() ?? { ...firstOptions(this.env, setup), model: this.#model() });
  }

  /** Changes what was set at its making; null for an unknown session. */
  change(
    account: string,
    patch: Partial<Pick<SessionSetup, "title" | "metadata" | "archivedAt">>,
    actor?: Actor,
  ): SessionFacts | null {
    if (!this.#mayUse(account)) return null;
    this.#settings.saveSetup({ ...(this.#settings.setup() ?? NO_SETUP), ...patch, updatedAt: Date.now() });
    return this.#audit.note(this.facts(account), actor, "session.update", this.ctx.id.name ?? "");
  }

  /** Adds a resource, gives one another sealed credential, or takes one away. False: no such session or resource. */
  changeResources(account: string, change: ResourceChange): boolean {
    return this.#mayUse(account) && this.#resources.change(change, Date.now());
  }

  /** A resource with its sealed credential, for the doors of the sandbox. Null: no such thing here. */
  resource(account: string, id: string): SessionResource | null {
    return this.#mayUse(account) ? this.#resources.get(id) : null;
  }

  /** Whether this session's sandbox may read a file: it is mounted, or the prompt in progress shows it. */
  mayReadFile(account: string, fileId: string): boolean {
    const run = this.#mayUse(account) ? this.#queue.running() : null;
    return run !== null && (this.#resources.holds(fileId) || this.#log.payload(run.promptSeq).includes(fileId));
  }

  /** Its files. Null for an unknown session. */
  workspace(account: string): Workspace | null {
    return this.#mayUse(account) ? this.#workspace : null;
  }

  /** Makes this session as a copy of another of the account. */
  async forkFrom(account: string, source: string, fork: SessionFork): Promise<Result<object>> {
    const from = await this.env.SESSION.get(this.env.SESSION.idFromName(source)).workspace(account);
    if (!from || this.#exists) return unknown(source);
    const forked = await this.#workspace.copyFrom(from, account, source, fork);
    this.#exists = forked.ok;
    return forked;
  }

  /** Forgets the session: its log, its queue, its files. False for an unknown one. */
  async destroy(account: string): Promise<boolean> {
    if (!this.#mayUse(account)) return false;
    await this.#audit.empty();
    this.#exists = false;
    for (const socket of this.ctx.getWebSockets()) socket.close(1000, "the session was deleted");
    await this.#sandbox.destroy();
    await this.#snapshots.forget();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    // What is in memory belongs to a session that is no more.
    this.ctx.abort("deleted");
    return true;
  }

  /** Answers a tool call that waits. Null for an unknown session; false when no such call waits. */
  answer(account: string, toolUseId: string, answer: ToolAnswer, event: SessionEvent, actor: Actor): boolean | null {
    if (!this.#mayUse(account)) return null;
    return this.#audit.note(this.#driver.answer(toolUseId, answer, event), actor, "approval.answer", toolUseId);
  }

  /** Somebody has allowed a call that a worker is to carry out. Null for an unknown session; false when none waits. */
  allow(account: string, toolUseId: string, event: SessionEvent, actor: Actor): boolean | null {
    if (!this.#mayUse(account)) return null;
    return this.#audit.note(this.#driver.allow(toolUseId, event), actor, "approval.answer", toolUseId);
  }

  /** Whether a worker has something to do here: a run is in progress, or waits. */
  wantsWork(account: string): boolean {
    return (
      this.#mayUse(account) &&
      this.#settings.selfHostedIn() !== null &&
      (this.#queue.running() ?? this.#queue.next()) !== null
    );
  }

  /** Tool calls that wait for an answer. Null for an unknown session. */
  waiting(account: string): Omit<WaitingCall, "answer">[] | null {
    return this.#mayUse(account) ? this.#approvals.open().map(({ answer: _answer, ...call }) => call) : null;
  }

  /** Stops the run in progress. Null when this account has no such session; false when nothing runs. */
  interrupt(account: string, actor: Actor): boolean | null {
    if (!this.#mayUse(account)) return null;
    return this.#audit.note(this.#driver.interrupt(), actor, "run.interrupt", this.ctx.id.name ?? "");
  }

  /** Takes a run out of the queue, or stops it. Null for an unknown session; false when it has ended or never was. */
  cancel(account: string, runId: string, actor?: Actor): boolean | null {
    return this.#mayUse(account) ? this.#audit.note(this.#driver.cancel(runId), actor, "run.cancel", runId) : null;
  }

  /** The session's threads beside the primary one, oldest first. Null for an unknown session. */
  threads(account: string, after: number, limit: number, statuses: readonly string[] | null): Thread[] | null {
    return this.#mayUse(account) ? this.#threads.list(after, limit, statuses) : null;
  }

  /** A thread beside the primary one; null when there is none of that id. */
  thread(account: string, id: string): Thread | null {
    return this.#mayUse(account) ? this.#threads.get(id) : null;
  }

  /** Archives a thread that does not run. False when it runs, null when there is none of that id. */
  archiveThread(account: string, id: string): boolean | null {
    const thread = this.thread(account, id);
    if (!thread || thread.status === "running") return thread && false;
    this.#threads.archive(id, Date.now());
    return true;
  }

  /** How a run ended, for the session that waits for it; null while it has not, or when it never was. */
  resultOf(account: string, runId: string): { text: string; isError: boolean } | null {
    return this.#mayUse(account) ? resultOf(this.#log, this.#queue, runId) : null;
  }

  /** A session that this one waits for may have answered. */
  peerEnded(account: string): void {
    if (this.#mayUse(account)) this.#driver.carryOutPeerCalls();
  }

  /** A model call of one of the engine's sub-agents has ended. */
  countForThread(taskId: string, usage: ModelUsage): void {
    if (this.#exists) this.#threads.count(taskId, usage);
  }

  /** Runs after a place in their order, oldest first. Null for an unknown session. */
  runs(account: string, after: number, limit: number): ListedRun[] | null {
    return this.#mayUse(account) ? this.#queue.list(after, limit) : null;
  }

  /** One run, as soon as it has ended, at the latest after `waitMs`. Null for an unknown session or run. */
  async run(account: string, runId: string, waitMs = 0): Promise<RunFacts | null> {
    if (!this.#mayUse(account)) return null;
    this.#driver.kick();
    return runWithin(this.#log, this.#queue, runId, waitMs);
  }

  /** The run in progress; null when there is none or no such session. */
  current(account: string): string | null {
    return this.#mayUse(account) ? (this.#queue.running()?.id ?? null) : null;
  }

  /** Whether the session exists for this account. */
  exists(account: string): boolean {
    return this.#mayUse(account);
  }

  /** `seq` of the newest event. Null for an unknown session. */
  last(account: string): number | null {
    return this.#mayUse(account) ? this.#log.last() : null;
  }

  /** A page of the log: JSON lines after a cursor. Null for an unknown session. */
  page(account: string, query: LogQuery): { lines: readonly string[]; last: number; more: boolean } | null {
    return this.#mayUse(account) ? this.#log.list(query) : null;
  }

  /** A run in the seeds' lines, read from a `seq` on. Null for an unknown session. */
  tell(account: string, after: number, story: SeedStory): ReadableStream<Uint8Array> | null {
    if (!this.#mayUse(account)) return null;
    this.#driver.kick();
    const shape = { format: story.format, view: "all", previews: true, untilRun: story.runId } as const;
    return streamLog(this.#log, after, shape, storyTeller(this.ctx.id.name ?? "", story));
  }

  /** The log from a cursor on: a `seq`, an event's id, or null for what happens from now on. Else says what is unknown. */
  follow(
    account: string,
    cursor: string | null,
    shape: StreamShape,
  ): ReadableStream<Uint8Array> | "unknown_session" | "unknown_event" {
    if (!this.#mayUse(account)) return "unknown_session";
    const after = this.#place(cursor);
    if (after === null) return "unknown_event";
    this.#driver.kick();
    if (shape.untilRun === null) this.opened(account);
    return streamLog(this.#log, after, shape);
  }

  /** What comes after a cursor, as soon as there is something; empty after `waitMs`. */
  async nextPage(
    account: string,
    cursor: string | null,
    shape: Pick<StreamShape, "view" | "previews">,
    waitMs: number,
  ): Promise<LogPage | "unknown_session" | "unknown_event"> {
    if (!this.#mayUse(account)) return "unknown_session";
    const after = this.#place(cursor);
    return after === null ? "unknown_event" : pageWithin(this.#log, after, shape, waitMs);
  }

  #place(cursor: string | null): number | null {
    if (cursor === null) return this.#log.last();
    return /^\d{1,15}$/.test(cursor) ? Number(cursor) : this.#log.seqOf(cursor);
  }

  /** Whether an engine may call a model with this token now; if so, for whom. */
  authorizeModelCall(token: string): { account: string } | null {
    if (!this.#exists) return null;
    const current = this.#lease.token();
    if (current === null || !sameText(current, token)) return null;
    return { account: this.#account() };
  }

  /** For whom a container spends that calls a model: the one of the newest start, or nobody. */
  callerOfStart(startId: string): { account: string } | null {
    if (!this.#exists || this.#settings.containerStart()?.startId !== startId) return null;
    return { account: this.#account() };
  }

  /** Something in the container wanted out to where its environment does not let it: the log says so. */
  noteBlocked(startId: string, attempt: { host: string; method: string }): void {
    if (this.callerOfStart(startId)) this.#blocked.note(attempt);
  }

  override async alarm(): Promise<void> {
    if (!this.#exists) return;
    this.#alarms.fired();
    // Each in its own time: a look at a run asks its runner for a sign of life, a save goes through all its files.
    if (this.#alarms.isDue("driver", true)) this.#driver.watch();
    if (this.#alarms.isDue("snapshots")) this.#snapshots.watch();
    this.#tellIndex();
    await this.#rest.watch();
  }

  /** Tells others what they have not heard yet. */
  #tellIndex(): void {
    if (!this.#exists) return;
    this.#audit.tell();
    tellWaiting(this.ctx, this.env, this.#approvals, this.#settings);
    tellWork(this.ctx, this.env, () => this.#account(), this.#queue, this.#settings);
  }

  #model(): string {
    const router = modelsOf(this.env);
    const last = this.#queue.lastModel() ?? this.#settings.setup()?.engine.model ?? null;
    return last !== null && router.knows(last) ? last : router.defaultModel;
  }

  #account(): string {
    this.#owner ??= textOf(this.#parts.sql.exec("SELECT account FROM session").toArray()[0], "account");
    return this.#owner;
  }

  #mayUse(account: string): boolean {
    return this.#exists && this.#account() === account;
  }
}
