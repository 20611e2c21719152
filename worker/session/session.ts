import { DurableObject } from "cloudflare:workers";
import { newId } from "@gantry/protocol/ids.ts";
import type { PromptBlock } from "@gantry/protocol/event.ts";
import type { RunOptions } from "@gantry/protocol/link.ts";
import type { Env } from "../env.ts";
import { report } from "../log.ts";
import { contextTokensOf, modelsOf } from "../models.ts";
import { localSandbox } from "../sandbox/local.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { Driver } from "./driver.ts";
import { EventLog } from "./event-log.ts";
import { Lease } from "./lease.ts";
import { dial } from "./link.ts";
import { MAX_QUEUED, RunQueue } from "./run-queue.ts";
import { createTables, tablesExist, textOf } from "./sql.ts";
import { Sockets, fromSocketRequest, readSocketMessage } from "./sockets.ts";
import { streamLog } from "./stream.ts";

/** Options of a request; without a model the session goes on with the one it used last. */
export type WantedOptions = Omit<RunOptions, "model"> & { readonly model?: string };

export interface Submission {
  readonly prompt: readonly PromptBlock[];
  readonly options: WantedOptions;
  /** Why the run begins: the door it came through. */
  readonly trigger: string;
}

export type Submitted =
  | { readonly ok: true; readonly runId: string; /** `seq` before the run's first event. */ readonly after: number }
  | { readonly ok: false; readonly error: "unknown_session" | "queue_full" };

const DEFAULT_RUN_MINUTES = 30;

/**
 * A session: a conversation and its files. One object each, named by the session's id; it owns the log, the queue and
 * the driver, and only passes calls on to them.
 */
export class Session extends DurableObject<Env> {
  readonly #log: EventLog;
  readonly #queue: RunQueue;
  readonly #lease: Lease;
  readonly #driver: Driver;
  readonly #sockets: Sockets;
  #exists: boolean;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    this.#log = new EventLog(sql, () => this.#sockets.pump());
    this.#queue = new RunQueue(sql);
    this.#lease = new Lease(sql);
    const sessionId = ctx.id.name ?? "";
    const sandbox = sandboxOf(env);
    this.#driver = new Driver({
      log: this.#log,
      queue: this.#queue,
      lease: this.#lease,
      transaction: (work) => ctx.storage.transactionSync(work),
      dial: (hello, handlers) => dial(sandbox, sessionId, hello, handlers),
      setAlarm: (at) => void (at === null ? ctx.storage.deleteAlarm() : ctx.storage.setAlarm(at)),
      now: () => Date.now(),
      newEventId: () => newId("event"),
      newToken: () => `gst_${sessionId}.${newId("request").slice(4)}`,
      engineSessionId: () =>
        textOf(sql.exec("SELECT engine_session_id FROM session").toArray()[0], "engine_session_id"),
      models: (model) => ({ baseUrl: env.MODELS_URL ?? "", ...contextTokensOf(env, model) }),
      deadlineMs: Number(env.GANTRY_RUN_MINUTES ?? DEFAULT_RUN_MINUTES) * 60_000,
      report: (entry) => report({ sessionId, ...entry }),
    });
    this.#exists = tablesExist(sql);
    this.#sockets = new Sockets(this.#log, () => ctx.getWebSockets());
  }

  /** Opens a WebSocket that shows the log from `after` on. The door has authenticated it; see `socketRequest`. */
  override fetch(request: Request): Response {
    const { account, after } = fromSocketRequest(request);
    if (!this.#mayUse(account)) return new Response(null, { status: 404 });
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    this.#sockets.open(server, { account, after: after ?? this.#log.last() });
    // A client that offered subprotocols wants one of them named.
    const headers = request.headers.has("sec-websocket-protocol") ? { "sec-websocket-protocol": "gantry" } : {};
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  override webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): void {
    const { account } = this.#sockets.stateOf(socket);
    const answer = readSocketMessage(this.env, data, (submission) => this.submit(account, submission));
    if (answer) socket.send(JSON.stringify(answer));
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    // 1005 and 1006 are told, never sent.
    socket.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }

  /** Makes the session. A second call for the same id changes nothing. */
  create(account: string): void {
    if (this.#exists) return;
    const { sql } = this.ctx.storage;
    this.ctx.storage.transactionSync(() => {
      createTables(sql);
      sql.exec(
        "INSERT INTO session (id, account, created_at, engine_session_id) VALUES (?, ?, ?, ?)",
        this.ctx.id.name ?? "",
        account,
        Date.now(),
        crypto.randomUUID(),
      );
    });
    this.#exists = true;
  }

  /** Accepts a prompt: when this returns, it is stored, and it will end whatever dies. */
  submit(account: string, submission: Submission): Submitted {
    if (!this.#mayUse(account)) return { ok: false, error: "unknown_session" };
    const waiting = this.#queue.queued();
    if (waiting >= MAX_QUEUED) return { ok: false, error: "queue_full" };
    const runId = newId("run");
    const now = Date.now();
    const options = { ...submission.options, model: submission.options.model ?? this.#model() };
    const after = this.#log.last();
    const position = waiting + (this.#queue.running() ? 1 : 0);
    this.ctx.storage.transactionSync(() => {
      const events = [
        { type: "run.queued" as const, position, trigger: submission.trigger },
        { type: "user.message" as const, content: [...submission.prompt] },
      ];
      const promptSeq = this.#log.append(events.map((event) => ({ id: newId("event"), runId, at: now, event })));
      this.#queue.add({ id: runId, trigger: submission.trigger, options, promptSeq, now });
    });
    this.#log.announce();
    this.#driver.kick();
    return { ok: true, runId, after };
  }

  /** Stops the run in progress. Null when this account has no such session; false when nothing runs. */
  interrupt(account: string): boolean | null {
    return this.#mayUse(account) ? this.#driver.interrupt() : null;
  }

  /** Whether the session exists for this account. */
  exists(account: string): boolean {
    return this.#mayUse(account);
  }

  /** A page of the log: JSON lines after a cursor. Null for an unknown session. */
  page(account: string, after: number, limit: number): { lines: readonly string[]; last: number } | null {
    return this.#mayUse(account) ? this.#log.after(after, limit) : null;
  }

  /** The log as NDJSON from a cursor on; it ends with the end of `untilRun`, or never. Null for an unknown session. */
  stream(account: string, after: number, untilRun: string | null): ReadableStream<Uint8Array> | null {
    if (!this.#mayUse(account)) return null;
    this.#driver.kick();
    return streamLog(
      this.#log,
      after,
      (line) => untilRun !== null && line.startsWith('{"type":"run.ended"') && line.includes(`"run_id":"${untilRun}"`),
    );
  }

  /** Whether an engine may call a model with this token now; if so, for whom. */
  authorizeModelCall(token: string): { account: string } | null {
    if (!this.#exists) return null;
    const current = this.#lease.token();
    if (current === null || !sameText(current, token)) return null;
    return { account: this.#account() };
  }

  override alarm(): void {
    if (this.#exists) this.#driver.watch();
  }

  #model(): string {
    const router = modelsOf(this.env);
    const last = this.#queue.lastModel();
    return last !== null && router.knows(last) ? last : router.defaultModel;
  }

  #account(): string {
    return textOf(this.ctx.storage.sql.exec("SELECT account FROM session").toArray()[0], "account");
  }

  #mayUse(account: string): boolean {
    return this.#exists && this.#account() === account;
  }
}

function sandboxOf(env: Env): Sandbox {
  return localSandbox({ url: env.RUNNER_URL ?? "http://127.0.0.1:0", token: env.RUNNER_TOKEN ?? "" });
}

/** Compares without telling by its duration how much was right. */
function sameText(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.byteLength === right.byteLength && crypto.subtle.timingSafeEqual(left, right);
}
