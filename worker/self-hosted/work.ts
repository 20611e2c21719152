import type {
  BetaSelfHostedWork,
  BetaSelfHostedWorkHeartbeatResponse,
  BetaSelfHostedWorkQueueStats,
} from "@anthropic-ai/sdk/resources/beta/environments/work";
import { fromHex, toBase64Url, toHex } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import { auditStatement } from "../storage/audit.ts";
import type { Actor } from "../storage/audit.ts";
import { digest } from "../accounts/keys.ts";
import { patchMetadata } from "../catalog/agents/resolve.ts";
import type { Env } from "../base/env.ts";
import { catalog, toIso } from "../storage/catalog.ts";
import { readPage } from "../storage/paging.ts";
import type { Page, PageRequest } from "../storage/paging.ts";
import { lastBeat, notExpected, toBeat, toWork } from "./work-row.ts";
import type { WorkRow } from "./work-row.ts";

/**
 * Work of self-hosted environments. One item is one session that has something to do. One worker holds it, for as long
 * as that worker sends heartbeats: `queued` → `starting` (acknowledged) → `active` (heartbeats arrive) → `stopping` (a
 * client asked to stop it) → `stopped`. When the lease expires, the item is free again. Each step is one SQL statement,
 * so that only one of two competing workers succeeds.
 */

/** Default length of a lease: the worker must send a heartbeat within this time. */
const TTL_MS = 300_000;

/** Longest lease of work that is stopping, from each heartbeat on. */
const STOPPING_MS = 60_000;

/** A worker counts as polling when its last poll is at most this old. */
const POLLING_MS = 30_000;

/** Shortest time between two stored polls of one worker. */
const NOTE_POLL_MS = 10_000;

/** Names an item within its account and environment. */
export interface WorkKey {
  readonly account: string;
  readonly environmentId: string;
  readonly id: string;
}

const SELECT = "SELECT * FROM work";
const THIS = "id = ? AND environment_id = ? AND account = ?";

/**
 * Adds work for a session, unless a worker holds or can get some already. The item becomes available after `pauseMs`, but
 * not while another worker is still stopping work on the session.
 */
export async function addWork(
  env: Env,
  { account, environmentId, session }: { account: string; environmentId: string; session: string },
  pauseMs: number,
): Promise<void> {
  const now = Date.now();
  const db = await catalog(env);
  const free = `MAX(?2, COALESCE((SELECT MAX(lease_until) FROM work WHERE session = ?1 AND state = 'stopping'), 0))`;
  await db.batch([
    db
      .prepare(`UPDATE work SET available_at = MIN(available_at, ${free}) WHERE session = ?1 AND state = 'queued'`)
      .bind(session, now + pauseMs),
    db
      .prepare(
        `INSERT INTO work (id, account, environment_id, session, state, metadata, created_at, available_at, ttl_ms)
          SELECT ?3, ?4, ?5, ?1, 'queued', '{}', ?6, ${free}, ?7
          WHERE EXISTS (SELECT 1 FROM environments WHERE id = ?5 AND account = ?4)
            AND NOT EXISTS (SELECT 1 FROM work WHERE session = ?1 AND state IN ('queued', 'starting', 'active'))`,
      )
      .bind(session, now + pauseMs, newId("work", now), account, environmentId, now, TTL_MS),
  ]);
}

/** Hands out the oldest free item, with a token for it. Null: there is none. `reclaimMs`: an item is free again when it
 * was handed out longer ago than this and not acknowledged. */
export async function claimWork(
  env: Env,
  { account, environmentId }: Omit<WorkKey, "id">,
  reclaimMs: number,
): Promise<{ work: BetaSelfHostedWork; token: string } | null> {
  const now = Date.now();
  const db = await catalog(env);
  const free = `environment_id = ?1 AND account = ?2 AND available_at <= ?3 AND (
    (state = 'queued' AND (polled_at IS NULL OR polled_at <= ?4)) OR (state IN ('starting', 'active') AND lease_until <= ?3))`;
  const next = await db
    .prepare(`SELECT id FROM work WHERE ${free} ORDER BY id LIMIT 1`)
    .bind(environmentId, account, now, now - reclaimMs)
    .first<{ id: string }>();
  if (next === null) return null;
  const token = `gwt_${next.id.slice("work_".length)}_${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
  // Checks again that it is free: another worker may have polled at the same time.
  const row = await db
    .prepare(
      `UPDATE work SET state = 'queued', polled_at = ?3, acknowledged_at = NULL, started_at = NULL, heartbeat_at = NULL,
        lease_until = ?3 + ttl_ms, token_hash = ?6 WHERE id = ?5 AND ${free} RETURNING *`,
    )
    .bind(environmentId, account, now, now - reclaimMs, next.id, toHex(await digest(token)))
    .first<WorkRow>();
  return row === null ? null : { work: toWork(row), token };
}

/** The item that a worker's token opens while its lease lasts; `over`: it is stopped. Null: the token opens none. */
export async function workOfToken(
  env: Env,
  token: string,
): Promise<(WorkKey & { session: string; over: boolean }) | null> {
  const id = `work_${/^gwt_([0-9a-z]{36})_[A-Za-z0-9_-]{43}$/.exec(token)?.[1] ?? ""}`;
  if (!isId("work", id)) return null;
  const row = await (await catalog(env)).prepare(`${SELECT} WHERE id = ?`).bind(id).first<WorkRow>();
  if (row === null || row.token_hash === null || row.lease_until <= Date.now()) return null;
  if (!crypto.subtle.timingSafeEqual(await digest(token), fromHex(row.token_hash))) return null;
  const { account, environment_id: environmentId, session } = row;
  return { account, environmentId, id, session, over: row.state === "stopped" };
}

/** Whether a worker still holds a work item, so that the item's token opens the session. */
export async function isWorkHeld(env: Env, id: string): Promise<boolean> {
  const row = await (await catalog(env)).prepare(`${SELECT} WHERE id = ?`).bind(id).first<WorkRow>();
  return row !== null && row.token_hash !== null && row.lease_until > Date.now() && row.state !== "stopped";
}

/** An item. Null: there is no such work. */
export async function getWork(env: Env, key: WorkKey): Promise<BetaSelfHostedWork | null> {
  const row = await readRow(env, key);
  return row && toWork(row);
}

/** All work of an environment, stopped items included, newest first. */
export async function listWork(
  env: Env,
  { account, environmentId }: Omit<WorkKey, "id">,
  request: PageRequest,
): Promise<Page<BetaSelfHostedWork>> {
  const where = ["environment_id = ?", "account = ?"];
  const query = { select: SELECT, where, values: [environmentId, account], key: "id" };
  return readPage(await catalog(env), query, request, (row: WorkRow) => row.id, toWork);
}

/** Changes an item's metadata. Null: there is no such work. */
export async function updateWork(
  env: Env,
  actor: Actor,
  key: WorkKey,
  patch: Readonly<Record<string, string | null>>,
): Promise<BetaSelfHostedWork | null> {
  const work = await getWork(env, key);
  if (work === null) return null;
  const metadata = JSON.stringify(patchMetadata(work.metadata, patch, false));
  const db = await catalog(env);
  await db.batch([
    db.prepare(`UPDATE work SET metadata = ? WHERE ${THIS}`).bind(metadata, ...idsOf(key)),
    auditStatement(db, actor, "work.update", key.id),
  ]);
  return getWork(env, key);
}

/** A worker confirms that it received an item; repeating this changes nothing. Null: there is no such work. */
export async function acknowledgeWork(env: Env, key: WorkKey): Promise<BetaSelfHostedWork | null> {
  const now = Date.now();
  const db = await catalog(env);
  await db
    .prepare(
      `UPDATE work SET state = 'starting', acknowledged_at = ?, lease_until = ? + ttl_ms
        WHERE ${THIS} AND state = 'queued' AND polled_at IS NOT NULL`,
    )
    .bind(now, now, ...idsOf(key))
    .run();
  const row = await readRow(env, key);
  if (row?.state === "queued") throw conflict("This work was not handed out to a worker. Poll for it first.");
  if (row?.state === "stopped") throw conflict("This work is stopped.");
  return row && toWork(row);
}

/** A heartbeat: extends the lease. Refused when `expected` is not the last heartbeat. Null: there is no such work. */
export async function beat(
  env: Env,
  key: WorkKey,
  ttlMs: number,
  expected: string | undefined,
): Promise<BetaSelfHostedWorkHeartbeatResponse | null> {
  const row = await readRow(env, key);
  if (row === null) return null;
  if (row.state === "stopped") return toBeat(row, false);
  if (row.state === "queued") throw conflict("This work is not acknowledged.");
  if (row.state !== "stopping" && expected !== undefined && expected !== lastBeat(row)) throw notExpected(row);
  const lease = row.state === "stopping" ? Math.min(ttlMs, STOPPING_MS) : ttlMs;
  // Each heartbeat gets a later time than the one before, because the time identifies it.
  const at = Math.max(Date.now(), (row.heartbeat_at ?? 0) + 1);
  const written = await (
    await catalog(env)
  )
    .prepare(
      `UPDATE work SET heartbeat_at = ?, started_at = COALESCE(started_at, ?), lease_until = ?, ttl_ms = ?,
        state = CASE state WHEN 'starting' THEN 'active' ELSE state END
        WHERE ${THIS} AND heartbeat_at IS ? AND state IN ('starting', 'active', 'stopping') RETURNING *`,
    )
    .bind(at, at, at + lease, lease, ...idsOf(key), row.heartbeat_at)
    .first<WorkRow>();
  if (written !== null) return toBeat(written, true);
  const now = await readRow(env, key);
  if (now?.state === "stopped") return toBeat(now, false);
  throw notExpected(now ?? row);
}

/**
 * Stops work: at once, or, if a worker holds it and `force` is not set, by telling that worker in the answer to its next
 * heartbeat. Refused when the work is stopped already. Null: there is no such work.
 */
export async function stopWork(
  env: Env,
  actor: Actor,
  key: WorkKey,
  force: boolean,
): Promise<(BetaSelfHostedWork & { readonly state: "stopping" | "stopped" }) | null> {
  const row = await readRow(env, key);
  if (row === null) return null;
  if (row.state === "stopped") throw conflict("This work is stopped.");
  const now = Date.now();
  // A worker that sends no heartbeats would never learn that it must stop.
  const held = row.heartbeat_at !== null && row.lease_until > now;
  const state = held && !force ? "stopping" : "stopped";
  const db = await catalog(env);
  const [changed] = await db.batch([
    db
      .prepare(
        `UPDATE work SET state = ?, stop_requested_at = COALESCE(stop_requested_at, ?), stopped_at = ?,
          lease_until = MIN(lease_until, ?)
          WHERE ${THIS} AND state = ?`,
      )
      .bind(state, now, state === "stopped" ? now : null, now + STOPPING_MS, ...idsOf(key), row.state),
    auditStatement(db, actor, "work.stop", key.id),
  ]);
  // Its state changed meanwhile: try again from the new state.
  if (changed?.meta.changes === 0) return stopWork(env, actor, key, force);
  const stopped = await getWork(env, key);
  return stopped && { ...stopped, state };
}

/** State of an environment's queue. */
export async function workStats(
  env: Env,
  { account, environmentId }: Omit<WorkKey, "id">,
): Promise<BetaSelfHostedWorkQueueStats> {
  const db = await catalog(env);
  const row = await db
    .prepare(
      `SELECT COUNT(*) FILTER (WHERE polled_at IS NULL) AS depth, COUNT(*) FILTER (WHERE polled_at IS NOT NULL) AS pending,
        MIN(created_at) AS oldest, (SELECT COUNT(*) FROM work_polls WHERE environment_id = ?1 AND at > ?3) AS workers
        FROM work WHERE environment_id = ?1 AND account = ?2 AND state = 'queued'`,
    )
    .bind(environmentId, account, Date.now() - POLLING_MS)
    .first<{ depth: number; pending: number; oldest: number | null; workers: number }>();
  return {
    type: "work_queue_stats",
    depth: row?.depth ?? 0,
    pending: row?.pending ?? 0,
    oldest_queued_at: toIso(row?.oldest ?? null),
    workers_polling: row?.workers ?? 0,
  };
}

/** When this isolate last stored a worker's poll, by environment and worker. */
const noted = new Map<string, number>();

/** Records that a worker polls for work, at most once per `NOTE_POLL_MS`. */
export async function notePoll(env: Env, environmentId: string, worker: string): Promise<void> {
  const now = Date.now();
  const name = `${environmentId} ${worker}`;
  if (now - (noted.get(name) ?? 0) < NOTE_POLL_MS) return;
  if (noted.size > 1_000) noted.clear();
  noted.set(name, now);
  const db = await catalog(env);
  await db.batch([
    db
      .prepare(`INSERT OR REPLACE INTO work_polls (environment_id, worker, at) VALUES (?, ?, ?)`)
      .bind(environmentId, worker, now),
    db.prepare(`DELETE FROM work_polls WHERE environment_id = ? AND at <= ?`).bind(environmentId, now - POLLING_MS),
  ]);
}

function readRow(env: Env, key: WorkKey): Promise<WorkRow | null> {
  if (!isId("work", key.id)) return Promise.resolve(null);
  return catalog(env).then((db) =>
    db
      .prepare(`${SELECT} WHERE ${THIS}`)
      .bind(...idsOf(key))
      .first<WorkRow>(),
  );
}

const idsOf = ({ id, environmentId, account }: WorkKey) => [id, environmentId, account] as const;

function conflict(reason: string): RequestRefused {
  return new RequestRefused({ code: "conflict", reason });
}
