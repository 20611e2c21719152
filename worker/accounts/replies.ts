import { DurableObject, RpcTarget } from "cloudflare:workers";
import { objectOf } from "../base/env.ts";
import type { Env, Stub } from "../base/env.ts";
import { numberOf, textOf } from "../storage/sql.ts";

/** An answer as it was given, without what belongs to one request alone. */
export interface KeptReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Where the ids of what a request makes come from: the same at every repeat of it. */
export interface Origin {
  readonly seed: string;
  /** Milliseconds since 1970 at which the key was first seen. */
  readonly at: number;
  /** Id of the request that came first. */
  readonly requestId: string;
}

/**
 * What an idempotency key means now:
 * - `go`: carry the request out and say through the ticket how it ended. Either the key is new, or an earlier request
 *   ended without a reply that could be kept (it died, or what it began tells its own story);
 * - `reply`: it was carried out, this was the answer;
 * - `busy`: an earlier request with it is still being carried out;
 * - `other`: it was used for something else.
 */
export type Begun =
  | { readonly is: "go"; readonly origin: Origin; readonly ticket: Ticket }
  | { readonly is: "reply"; readonly fingerprint: string; readonly reply: KeptReply }
  | { readonly is: "busy" }
  | { readonly is: "other" };

/** How long a key is remembered. */
export const REMEMBERED_MS = 24 * 60 * 60 * 1000;

/** Largest body that is kept; a row may hold 2 MB. */
export const MAX_KEPT_BYTES = 1_500_000;

/**
 * Idempotency keys of one account, and what was answered to each. One object an account; a request without the header
 * never comes here. What it says is on disk before it is said.
 */
export class Replies extends DurableObject<Env> {
  /** Keys whose request is being carried out. Lost with the object, as are those requests' tickets. */
  readonly #busy = new Set<string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec(`CREATE TABLE IF NOT EXISTS replies (
      key TEXT PRIMARY KEY, at INTEGER NOT NULL, seed TEXT NOT NULL, request_id TEXT NOT NULL, fingerprint TEXT NOT NULL,
      status INTEGER, headers TEXT, body BLOB)`);
    ctx.storage.sql.exec(`CREATE INDEX IF NOT EXISTS replies_by_age ON replies (at)`);
  }

  /** Asks about a key. `fingerprint` is null where it is only known when the body has been read to its end. */
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
    // Another request may have come while the alarm was set.
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
 * Held by whoever carries a request out. When its holder goes away, however that happens, the runtime disposes of it
 * and the key is no longer busy.
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

  /** Keeps the answer for whoever sends the same request again. */
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

  /** The request was refused before it did anything: the key is free again. */
  forget(): void {
    this.#sql.exec("DELETE FROM replies WHERE key = ? AND status IS NULL", this.#key);
  }

  [Symbol.dispose](): void {
    this.#done();
  }
}

/** The idempotency keys of an account. */
export function repliesOf(env: Env, account: string): Stub<Replies> {
  return objectOf<Replies>(env.REPLIES, account);
}
