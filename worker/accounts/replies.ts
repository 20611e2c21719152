import { DurableObject, RpcTarget } from "cloudflare:workers";
import { objectOf } from "../base/env.ts";
import type { Env, Stub } from "../base/env.ts";
import { numberOf, textOf } from "../storage/sql.ts";

/** A stored answer, without the headers that belong to a single request. */
export interface KeptReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** The values from which a request's new ids are derived. Every repeat of the request gets the same ones. */
export interface Origin {
  /** Random, stored with the key. */
  readonly seed: string;
  /** Milliseconds since 1970 at which the key was first seen. */
  readonly at: number;
  /** Id of the first request with this key. */
  readonly requestId: string;
}

/**
 * What to do with a request that carries an idempotency key:
 * - `go`: carry it out and report its end through the ticket. Either the key is new, or an earlier request ended without
 *   an answer that could be stored: it died, or its answer is in the log of the session it started;
 * - `reply`: an earlier request was carried out; send its stored answer again;
 * - `busy`: an earlier request with this key is still in progress;
 * - `other`: the key was used for a different request.
 */
export type Begun =
  | { readonly is: "go"; readonly origin: Origin; readonly ticket: Ticket }
  | { readonly is: "reply"; readonly fingerprint: string; readonly reply: KeptReply }
  | { readonly is: "busy" }
  | { readonly is: "other" };

/** How long a key is remembered, in milliseconds. */
export const REMEMBERED_MS = 24 * 60 * 60 * 1000;

/** Largest stored body in bytes. A row may hold 2 MB. */
export const MAX_KEPT_BYTES = 1_500_000;

/**
 * The idempotency keys of one account and the answer to each. Requests without the header never reach this object. The
 * runtime holds back its answers until their writes are on disk.
 */
export class Replies extends DurableObject<Env> {
  /** Keys whose request is in progress. They are lost with the object, and so are the tickets of those requests. */
  readonly #busy = new Set<string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec(`CREATE TABLE IF NOT EXISTS replies (
      key TEXT PRIMARY KEY, at INTEGER NOT NULL, seed TEXT NOT NULL, request_id TEXT NOT NULL, fingerprint TEXT NOT NULL,
      status INTEGER, headers TEXT, body BLOB)`);
    ctx.storage.sql.exec(`CREATE INDEX IF NOT EXISTS replies_by_age ON replies (at)`);
  }

  /** Looks a key up and claims it if possible. `fingerprint` is null when it is known only after the body has been read. */
  async begin(key: string, fingerprint: string | null, requestId: string): Promise<Begun> {
    const { sql } = this.ctx.storage;
    const now = Date.now();
    sql.exec("DELETE FROM replies WHERE at <= ?", now - REMEMBERED_MS);
    const row = sql.exec("SELECT * FROM replies WHERE key = ?", key).toArray()[0];
    if (row !== undefined) {
      const known = textOf(row, "fingerprint");
      if (fingerprint !== null && known !== "" && known !== fingerprint) return { is: "other" };
      if (this.#busy.has(key)) return { is: "busy" };
      if (row["status"] !== null) {
        const body = new Uint8Array(row["body"] as ArrayBuffer);
        const headers = JSON.parse(textOf(row, "headers")) as Record<string, string>;
        return { is: "reply", fingerprint: known, reply: { status: numberOf(row, "status"), headers, body } };
      }
    }
    const origin =
      row === undefined
        ? { seed: crypto.randomUUID(), at: now, requestId }
        : { seed: textOf(row, "seed"), at: numberOf(row, "at"), requestId: textOf(row, "request_id") };
    if (row === undefined) {
      sql.exec(
        "INSERT INTO replies (key, at, seed, request_id, fingerprint) VALUES (?, ?, ?, ?, ?)",
        key,
        origin.at,
        origin.seed,
        origin.requestId,
        fingerprint ?? "",
      );
    }
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(now + REMEMBERED_MS);
    // Another request may have claimed the key while the alarm was being set.
    if (this.#busy.has(key)) return { is: "busy" };
    this.#busy.add(key);
    return { is: "go", origin, ticket: new Ticket(this.ctx.storage.sql, key, () => this.#busy.delete(key)) };
  }

  override async alarm(): Promise<void> {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM replies WHERE at <= ?", Date.now() - REMEMBERED_MS);
    const oldest = sql.exec("SELECT MIN(at) AS at FROM replies").toArray()[0]?.["at"];
    if (typeof oldest === "number") await this.ctx.storage.setAlarm(oldest + REMEMBERED_MS);
  }
}

/**
 * Held by the Worker that carries a request out. When that Worker goes away, for whatever reason, the runtime disposes of
 * the ticket and the key is no longer busy.
 */
export class Ticket extends RpcTarget {
  readonly #sql: SqlStorage;
  readonly #key: string;
  readonly #done: () => void;

  constructor(sql: SqlStorage, key: string, done: () => void) {
    super();
    this.#sql = sql;
    this.#key = key;
    this.#done = done;
  }

  /** Stores the answer for repeats of the request. */
  keep(reply: KeptReply, fingerprint: string): void {
    this.#sql.exec(
      "UPDATE replies SET status = ?, headers = ?, body = ?, fingerprint = ? WHERE key = ?",
      reply.status,
      JSON.stringify(reply.headers),
      reply.body,
      fingerprint,
      this.#key,
    );
  }

  /** Frees the key of a request that was refused before it changed anything. */
  forget(): void {
    this.#sql.exec("DELETE FROM replies WHERE key = ? AND status IS NULL", this.#key);
  }

  [Symbol.dispose](): void {
    this.#done();
  }
}

/** The object that holds an account's idempotency keys. */
export function repliesOf(env: Env, account: string): Stub<Replies> {
  return objectOf<Replies>(env.REPLIES, account);
}
