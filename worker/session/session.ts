import { DurableObject } from "cloudflare:workers";
import { engineSessionIdOf } from "@gantry/protocol/ids.ts";
import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { SessionFork } from "@gantry/protocol/api/workspace.ts";
import type { Env } from "../base/env.ts";
import { NO_SETUP } from "../catalog/session-setup.ts";
import type { SessionSetup } from "../catalog/session-setup.ts";
import type { SessionResource } from "../resources/session-resource.ts";
import { NotDestroyed } from "../sandbox/sandbox.ts";
import type { Result } from "../workspace/copy-session.ts";
import { checkOptions } from "./call/check-options.ts";
import { IF_UNKNOWN } from "./call/session-api.ts";
import type { Destroyed, SessionApi, SessionOperations } from "./call/session-api.ts";
import { sessionOf } from "./call/session-of.ts";
import { tellWaiting, tellWork } from "./drive/tell-waiting.ts";
import { Operations } from "./operations.ts";
import { assemble } from "./parts/assemble.ts";
import type { Assembly } from "./parts/assemble.ts";
import { unknown } from "./parts/workspace.ts";
import { fromSocketRequest, readSocketMessage } from "./sockets/sockets.ts";
import { sameText } from "./store/lease.ts";
import { checkSpace } from "../sandbox/space.ts";
import { bringUpToDate, createTables, tablesExist } from "./store/schema.ts";

/**
 * A session: a conversation and its files. One object each, named by the session's id. It knows whether the session
 * exists and whose it is; everything else it passes on to its parts.
 */
export class Session extends DurableObject<Env> implements Omit<SessionApi, keyof SessionOperations> {
  readonly #parts: Assembly;
  readonly #operations: Operations;
  #exists: boolean;

  static {
    // The one guard: an account reaches the operations of its own session, and is answered the same for all others.
    for (const name of Object.keys(IF_UNKNOWN) as (keyof SessionOperations)[]) {
      const value = function (this: Session, account: string, ...args: unknown[]): unknown {
        if (!this.#mayUse(account)) return IF_UNKNOWN[name];
        return (this.#operations[name] as (...args: unknown[]) => unknown)(...args);
      };
      Object.defineProperty(this.prototype, name, { value, configurable: true, writable: true });
    }
  }

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#parts = assemble(ctx, env, () => {
      this.#parts.sockets.pump();
      this.#tellOthers();
    });
    this.#operations = new Operations(this.#parts);
    this.#exists = tablesExist(this.#parts.sql);
    if (this.#exists) bringUpToDate(this.#parts.sql);
  }

  /** Opens a WebSocket that shows the log from `after` on. The door has authenticated it; see `toSocketRequest`. */
  override fetch(request: Request): Response {
    const { cursor, ...opening } = fromSocketRequest(request);
    if (!this.#mayUse(opening.account)) return new Response("session", { status: 404 });
    const after = this.#operations.seqAt(cursor);
    if (after === null) return new Response("event", { status: 404 });
    this.#operations.opened();
    return this.#parts.sockets.accept(request, { ...opening, after });
  }

  override webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const { sockets } = this.#parts;
    return sockets.inTurn(socket, async () => {
      const { account, view } = sockets.stateOf(socket);
      const answer = await readSocketMessage(data, view, {
        confirm: (seq) => sockets.confirm(socket, seq),
        check: (wanted) => checkOptions(this.env, wanted),
        submit: async (submission) => {
          if (!(await sockets.mayPrompt(socket))) return null;
          await checkSpace(this.env);
          return this.#mayUse(account) ? this.#operations.submit(submission) : IF_UNKNOWN.submit;
        },
      });
      if (answer) socket.send(JSON.stringify(answer));
    });
  }

  override webSocketError(socket: WebSocket): void {
    this.#parts.sockets.closed(socket);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#parts.sockets.closed(socket, code, reason);
  }

  create(account: string, setup: SessionSetup = NO_SETUP, added: readonly SessionResource[] = []): boolean {
    if (this.#exists) return false;
    const { sql, transaction, settings, resources, sessionId } = this.#parts;
    transaction(() => {
      createTables(sql);
      sql.exec(
        "INSERT INTO session (id, account, created_at, engine_session_id) VALUES (?, ?, ?, ?)",
        sessionId,
        account,
        Date.now(),
        engineSessionIdOf(sessionId),
      );
      settings.saveSetup(setup);
      for (const resource of added) resources.add(resource);
    });
    this.#exists = true;
    return true;
  }

  async forkFrom(account: string, source: string, fork: SessionFork): Promise<Result<object>> {
    const from = await sessionOf(this.env, source).workspace(account);
    if (!from || this.#exists) return unknown(source);
    const forked = await this.#parts.workspace.copyFrom(from, account, source, fork);
    this.#exists = forked.ok;
    return forked;
  }

  async destroy(account: string): Promise<Destroyed> {
    if (!this.#mayUse(account)) return { ok: true };
    const { audit, sandbox, snapshots } = this.#parts;
    // No prompt may arrive in the meantime.
    this.#exists = false;
    try {
      await audit.empty();
      await sandbox.destroy();
      await snapshots.forget();
    } catch (error) {
      this.#exists = true;
      return { ok: false, reason: error instanceof NotDestroyed ? error.message : "Its files could not be removed." };
    }
    for (const socket of this.ctx.getWebSockets()) socket.close(1000, "the session was deleted");
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.deleteAll();
    // What is in memory belongs to a session that no longer exists.
    this.ctx.abort("deleted");
    return { ok: true };
  }

  countForThread(taskId: string, usage: ModelUsage): void {
    if (this.#exists) this.#parts.threads.count(taskId, usage);
  }

  authorizeModelCall(token: string): { account: string } | null {
    if (!this.#exists) return null;
    const current = this.#parts.lease.token();
    if (current === null || !sameText(current, token)) return null;
    return { account: this.#parts.account() };
  }

  callerOfStart(startId: string): { account: string } | null {
    if (!this.#exists || this.#parts.settings.containerStart()?.startId !== startId) return null;
    return { account: this.#parts.account() };
  }

  noteBlocked(startId: string, attempt: { host: string; method: string }): void {
    if (this.callerOfStart(startId)) this.#parts.blocked.note(attempt);
  }

  override async alarm(): Promise<void> {
    if (!this.#exists) return;
    const { alarms, driver, snapshots, rest } = this.#parts;
    alarms.fired();
    // Each at its own time: a look at a run asks its runner for a sign of life, a save goes through all its files.
    if (alarms.isDue("driver", true)) driver.watch();
    if (alarms.isDue("snapshots")) snapshots.watch();
    if (alarms.isDue("keys")) await this.#parts.sockets.watchKeys();
    this.#tellOthers();
    await rest.watch();
  }

  /** Sends what the index, the audit log and self-hosted workers have not been told yet. */
  #tellOthers(): void {
    if (!this.#exists) return;
    const { audit, approvals, settings, queue, account } = this.#parts;
    audit.tell();
    tellWaiting(this.ctx, this.env, approvals, settings);
    tellWork(this.ctx, this.env, account, queue, settings);
  }

  #mayUse(account: string): boolean {
    return this.#exists && this.#parts.account() === account;
  }
}
