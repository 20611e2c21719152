import { Scope } from "@gantry/protocol/api/keys.ts";
import type { ApiKey } from "@gantry/protocol/api/keys.ts";
import { fromHex, toBase64Url, toHex } from "@gantry/protocol/bytes.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../base/env.ts";
import { catalog, toIso } from "../storage/catalog.ts";
import { readPage } from "../storage/paging.ts";
import type { Page, PageRequest } from "../storage/paging.ts";
import { auditStatement } from "../storage/audit.ts";
import type { Actor } from "../storage/audit.ts";
import { KeyCache } from "./key-cache.ts";
import type { KnownKey } from "./key-cache.ts";

/**
 * API keys: `gk_<id>_<secret>`, where `<id>` is the key's id without its prefix and `<secret>` is 256 random bits in
 * base64url. The database holds the SHA-256 of the whole key; with that many random bits a slow hash adds nothing.
 */
const SHAPE = /^gk_([0-9a-z]{36})_[A-Za-z0-9_-]{43}$/;

/** Shortest interval between two writes of `last_used_at`, in milliseconds. */
const USED_MS = 60_000;

/** Key id that stands for the installation's own key, whose account is `default`. */
export const ADMIN_KEY_ID = "admin";

const cache = new KeyCache();

interface KeyRow {
  id: string;
  account: string;
  name: string;
  hash: string;
  scopes: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}

const COLUMNS = "id, account, name, hash, scopes, created_at, expires_at, last_used_at";

/** Keys that key ?1 made, directly or through others, and that are not revoked, if ?1 is a key of account ?2. */
const DESCENDANTS = `FROM keys WHERE revoked_at IS NULL AND id IN (
  WITH RECURSIVE made (id) AS (
    SELECT child.id FROM keys child JOIN keys parent ON child.created_by = parent.id WHERE parent.id = ?1 AND parent.account = ?2
    UNION SELECT child.id FROM keys child JOIN made ON child.created_by = made.id)
  SELECT id FROM made)`;

/** SHA-256 of a text in UTF-8, as bytes. */
export function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

/**
 * The key behind a text; null when it is unknown, wrong, expired or revoked. A key revoked elsewhere may be accepted for
 * another 30 s, see `KeyCache`.
 */
export async function findKey(
  env: Env,
  text: string,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<KnownKey | null> {
  const body = SHAPE.exec(text)?.[1];
  const id = `key_${body}`;
  if (body === undefined || !isId("key", id)) return null;
  const [hash, key] = await Promise.all([digest(text), cache.get(id, () => readKey(env, id, waitUntil))]);
  if (key === null || (key.expiresAt !== null && key.expiresAt <= Date.now())) return null;
  return crypto.subtle.timingSafeEqual(hash, fromHex(key.hash)) ? key : null;
}

/**
 * Whether a key that was right once still opens anything. What stays open longer than a request asks this again and
 * again. Throws `storage_unavailable` when the database does not answer.
 */
export async function isKeyOpen(env: Env, id: string, waitUntil: (work: Promise<unknown>) => void): Promise<boolean> {
  if (id === ADMIN_KEY_ID) return env.GANTRY_API_KEY !== undefined;
  const key = await cache.get(id, () => readKey(env, id, waitUntil));
  return key !== null && (key.expiresAt === null || key.expiresAt > Date.now());
}

async function readKey(env: Env, id: string, waitUntil: (work: Promise<unknown>) => void): Promise<KnownKey | null> {
  const db = await catalog(env);
  const row = await db
    .prepare(`SELECT ${COLUMNS} FROM keys WHERE id = ? AND revoked_at IS NULL`)
    .bind(id)
    .first<KeyRow>();
  if (row === null) return null;
  const now = Date.now();
  if (now - (row.last_used_at ?? 0) > USED_MS)
    waitUntil(db.prepare(`UPDATE keys SET last_used_at = ? WHERE id = ?`).bind(now, id).run());
  return { id, account: row.account, scopes: toScopes(row.scopes), hash: row.hash, expiresAt: row.expires_at };
}

/**
 * Creates a key. The answer's `key` is the only copy: the database holds just its hash. A key made by another key ends
 * with it at the latest. Null: the key that asks has ended meanwhile.
 */
export async function createKey(
  env: Env,
  actor: Actor,
  wanted: { account: string; name: string; scopes: readonly Scope[]; expiresInSeconds: number | null },
): Promise<(ApiKey & { readonly key: string }) | null> {
  const db = await catalog(env);
  const now = Date.now();
  const id = newId("key", now);
  const secret = toBase64Url(crypto.getRandomValues(new Uint8Array(32)));
  const key = `gk_${id.slice("key_".length)}_${secret}`;
  const wantedEnd = wanted.expiresInSeconds === null ? null : now + wanted.expiresInSeconds * 1000;
  const parent =
    actor.keyId === ADMIN_KEY_ID
      ? null
      : await db
          .prepare(`SELECT expires_at FROM keys WHERE id = ?`)
          .bind(actor.keyId)
          .first<{ expires_at: number | null }>();
  const ends = [wantedEnd, parent?.expires_at ?? null].filter((end) => end !== null);
  const row: KeyRow = {
    id,
    account: wanted.account,
    name: wanted.name,
    hash: toHex(await digest(key)),
    scopes: JSON.stringify([...new Set(wanted.scopes)].toSorted()),
    created_at: now,
    expires_at: ends.length === 0 ? null : Math.min(...ends),
    last_used_at: null,
  };
  // The creator may have been revoked elsewhere within the last 30 seconds: its child would outlive it.
  const [made] = await db.batch([
    db
      .prepare(
        `INSERT INTO keys (id, account, name, hash, scopes, created_at, expires_at, created_by)
          SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE ?8 = '${ADMIN_KEY_ID}' OR EXISTS
            (SELECT 1 FROM keys WHERE id = ?8 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?6))`,
      )
      .bind(row.id, row.account, row.name, row.hash, row.scopes, row.created_at, row.expires_at, actor.keyId),
    auditStatement(db, actor, "key.create", id, wanted.account),
  ]);
  if (made?.meta.changes === 0) return null;
  return { ...toApiKey(row), key };
}

/** A key that is not revoked; null when the account has none with this id. */
export async function getKey(env: Env, account: string, id: string): Promise<ApiKey | null> {
  const row = await (
    await catalog(env)
  )
    .prepare(`SELECT ${COLUMNS} FROM keys WHERE id = ? AND account = ? AND revoked_at IS NULL`)
    .bind(id, account)
    .first<KeyRow>();
  return row === null ? null : toApiKey(row);
}

/** Keys of an account that are not revoked, including expired ones; newest first. */
export async function listKeys(env: Env, account: string, request: PageRequest): Promise<Page<ApiKey>> {
  return readPage(
    await catalog(env),
    {
      select: `SELECT ${COLUMNS} FROM keys`,
      where: ["account = ?", "revoked_at IS NULL"],
      values: [account],
      key: "id",
    },
    request,
    (row: KeyRow) => row.id,
    toApiKey,
  );
}

/**
 * Revokes a key and all keys made with it: at once in this isolate, within 30 s in all others. False when the account has no such key.
 */
export async function revokeKey(env: Env, actor: Actor, account: string, id: string): Promise<boolean> {
  const db = await catalog(env);
  const now = Date.now();
  const [revoked, , children] = await db.batch<{ id: string }>([
    db
      .prepare(`UPDATE keys SET revoked_at = ? WHERE id = ? AND account = ? AND revoked_at IS NULL`)
      .bind(now, id, account),
    auditStatement(db, actor, "key.revoke", id, account),
    db.prepare(`SELECT id ${DESCENDANTS}`).bind(id, account),
    db
      .prepare(
        `INSERT INTO audit (at, account, key_id, action, target, request_id)
          SELECT ?3, ?2, ?4, 'key.revoke', id, ?5 ${DESCENDANTS}`,
      )
      .bind(id, account, now, actor.keyId, actor.requestId),
    db.prepare(`UPDATE keys SET revoked_at = ?3 WHERE id IN (SELECT id ${DESCENDANTS})`).bind(id, account, now),
  ]);
  for (const ended of [id, ...(children?.results ?? []).map((child) => child.id)]) cache.forget(ended);
  return (revoked?.meta.changes ?? 0) > 0;
}

function toApiKey(row: KeyRow): ApiKey {
  return {
    type: "api_key",
    id: row.id,
    account: row.account,
    name: row.name,
    scopes: toScopes(row.scopes),
    created_at: toIso(row.created_at),
    expires_at: toIso(row.expires_at),
    last_used_at: toIso(row.last_used_at),
  };
}

/** Scopes that this version does not know are dropped: they open nothing. */
function toScopes(json: string): Scope[] {
  return (JSON.parse(json) as string[]).flatMap((name) => Scope.safeParse(name).data ?? []);
}
