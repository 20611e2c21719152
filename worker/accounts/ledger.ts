import { DurableObject } from "cloudflare:workers";
import type { Estimate, Reservation } from "@gantry/router/money/budget.ts";
import type { UsageRecord } from "@gantry/router/base/usage.ts";
import { objectOf } from "../base/env.ts";
import type { Env, Stub } from "../base/env.ts";

/** Usage of one day, model, key and session. */
export interface UsageRow {
  /** `2026-11-21`, UTC. */
  readonly day: string;
  readonly model: string;
  readonly key_id: string | null;
  readonly session_id: string | null;
  readonly requests: number;
  /** Calls that failed, were cut off, or were abandoned by the client. They count as requests and may have cost money. */
  readonly failed_requests: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation_input_tokens: number;
  /** US dollars of the calls whose cost is known. */
  readonly cost_usd: number;
  /** Calls whose price or usage is unknown. They are not in `cost_usd`, but they are not free either. */
  readonly unknown_cost_requests: number;
}

/** The id of a reservation of money, or the reason it was refused. */
export type Reserved = { readonly ok: true; readonly id: string } | { readonly ok: false; readonly message: string };

/** A reservation whose call never settled, because its isolate died, is dropped after this many milliseconds. */
const FORGOTTEN_MS = 30 * 60_000;

/**
 * The money and tokens of one account. A single object per account keeps two concurrent calls from both spending the last
 * dollar. The runtime holds back its answers until their writes are on disk.
 */
export class Ledger extends DurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.storage.sql.exec(`CREATE TABLE IF NOT EXISTS usage (
      day TEXT NOT NULL, model TEXT NOT NULL, key_id TEXT NOT NULL, session_id TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL,
      input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, cost REAL NOT NULL,
      unknown_cost INTEGER NOT NULL, PRIMARY KEY (day, model, key_id, session_id))`);
    ctx.storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS reserved (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, usd REAL NOT NULL, at INTEGER NOT NULL)`,
    );
  }

  /**
   * Sets money aside for a call. Refuses when the account's or the session's limit would be exceeded, and where there is a
   * limit but no known price.
   */
  reserve(estimate: Estimate): Reserved {
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM reserved WHERE at < ?", Date.now() - FORGOTTEN_MS);
    const usd = estimate.maxCostUsd ?? 0;
    const limits = [
      { name: "account", limit: limitOf(this.env.GANTRY_ACCOUNT_BUDGET_USD), where: "1 = 1", values: [] as string[] },
      {
        name: "session",
        limit: estimate.sessionId === null ? null : limitOf(this.env.GANTRY_SESSION_BUDGET_USD),
        where: "session_id = ?",
        values: [estimate.sessionId ?? ""],
      },
    ];
    for (const { name, limit, where, values } of limits) {
      if (limit === null) continue;
      if (estimate.maxCostUsd === null) return { ok: false, message: withoutPrice(estimate, name) };
      const spent = sql
        .exec<{ usd: number }>(`SELECT COALESCE(SUM(cost), 0) AS usd FROM usage WHERE ${where}`, ...values)
        .one().usd;
      const held = sql
        .exec<{ usd: number }>(`SELECT COALESCE(SUM(usd), 0) AS usd FROM reserved WHERE ${where}`, ...values)
        .one().usd;
      if (spent >= limit || spent + held + usd > limit) {
        return {
          ok: false,
          message: `The budget of this ${name} is used up: $${spent.toFixed(4)} of $${limit.toFixed(2)} is spent, and this call may cost $${usd.toFixed(4)}.`,
        };
      }
    }
    sql.exec(
      "INSERT OR REPLACE INTO reserved (id, session_id, usd, at) VALUES (?, ?, ?, ?)",
      estimate.requestId,
      estimate.sessionId ?? "",
      usd,
      Date.now(),
    );
    return { ok: true, id: estimate.requestId };
  }

  /** Counts a call that has ended and releases its reservation. */
  record(record: UsageRecord): void {
    const { usage, costUsd } = record;
    this.ctx.storage.transactionSync(() => {
      const { sql } = this.ctx.storage;
      sql.exec("DELETE FROM reserved WHERE id = ?", record.requestId);
      sql.exec(
        `INSERT INTO usage VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, model, key_id, session_id) DO UPDATE SET
          requests = requests + 1, failed = failed + excluded.failed, input = input + excluded.input, output = output + excluded.output,
          cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write, cost = cost + excluded.cost,
          unknown_cost = unknown_cost + excluded.unknown_cost`,
        record.at.slice(0, 10),
        record.model,
        record.keyId ?? "",
        record.sessionId ?? "",
        record.outcome === "ok" || record.outcome === "cached" ? 0 : 1,
        usage?.inputTokens ?? 0,
        usage?.outputTokens ?? 0,
        usage?.cacheReadTokens ?? 0,
        usage?.cacheWriteTokens ?? 0,
        costUsd ?? 0,
        costUsd === null ? 1 : 0,
      );
    });
  }

  /** Usage rows, newest day first; at most 5000. `since` is the first day, as `YYYY-MM-DD` in UTC. */
  usage(filter: { readonly sessionId?: string; readonly keyId?: string; readonly since?: string }): UsageRow[] {
    const conditions: [string, string][] = [["day >= ?", filter.since ?? ""]];
    if (filter.sessionId !== undefined) conditions.push(["session_id = ?", filter.sessionId]);
    if (filter.keyId !== undefined) conditions.push(["key_id = ?", filter.keyId]);
    const where = conditions.map(([condition]) => condition);
    const values = conditions.map(([, value]) => value);
    return this.ctx.storage.sql
      .exec<Record<string, string | number>>(
        `SELECT * FROM usage WHERE ${where.join(" AND ")} ORDER BY day DESC, model LIMIT 5000`,
        ...values,
      )
      .toArray()
      .map((row) => ({
        day: String(row["day"]),
        model: String(row["model"]),
        key_id: String(row["key_id"]) || null,
        session_id: String(row["session_id"]) || null,
        requests: Number(row["requests"]),
        failed_requests: Number(row["failed"]),
        input_tokens: Number(row["input"]),
        output_tokens: Number(row["output"]),
        cache_read_input_tokens: Number(row["cache_read"]),
        cache_creation_input_tokens: Number(row["cache_write"]),
        cost_usd: Number(row["cost"]),
        unknown_cost_requests: Number(row["unknown_cost"]),
      }));
  }
}

/** Unknown is not zero: a call that cannot be counted would pass any limit. */
function withoutPrice({ model, unpriced }: Estimate, limited: string): string {
  const { route, model: asked } = unpriced ?? { route: model, model };
  return `This ${limited} has a budget, and the price of "${asked}" is not known, so the call to model "${model}" cannot be counted: set model_info.input_cost_per_token and model_info.output_cost_per_token of the route "${route}" in litellm_config.yaml.`;
}

/** The ledger object of an account. */
export function ledgerOf(env: Env, account: string): Stub<Ledger> {
  return objectOf<Ledger>(env.LEDGER, account);
}

/** Reserves money in the account's ledger before a call; `record` settles it. Fails closed: no ledger, no call. */
export async function reserveFor(env: Env, estimate: Estimate): Promise<Reservation> {
  const reserved = await ledgerOf(env, estimate.account)
    .reserve(estimate)
    .catch((error: unknown) => ({ ok: false as const, message: `The ledger does not respond: ${String(error)}` }));
  if (reserved.ok) return { granted: true, settle: () => {} };
  return {
    granted: false,
    refusal: { status: 402, type: "billing_error", message: reserved.message, shouldRetry: false },
  };
}

/** A limit in US dollars; null when the setting is empty or not a number of at least 0. */
export function limitOf(text: string | undefined): number | null {
  const value = Number(text);
  return text === undefined || text === "" || !Number.isFinite(value) || value < 0 ? null : value;
}
