import type { BetaManagedAgentsCredential } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { CredentialCreate, CredentialUpdate } from "@gantry/protocol/api/vaults.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import { auditStatement } from "../../storage/audit.ts";
import type { Actor } from "../../storage/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../../base/env.ts";
import { catalog, toIso } from "../../storage/catalog.ts";
import { readPage } from "../../storage/paging.ts";
import type { Page, PageRequest } from "../../storage/paging.ts";
import { canSeal, seal, unseal } from "../../storage/seal.ts";

/** Credentials of a vault. Each secret is sealed for its credential, and opened only to call the server it is for. */

type Auth = Exclude<BetaManagedAgentsCredential["auth"], { type: "environment_variable" }>;
type Body = Pick<BetaManagedAgentsCredential, "metadata" | "display_name"> & { auth: Auth };

interface CredentialRow {
  id: string;
  vault_id: string;
  created_at: number;
  updated_at: number;
  archived_at: number | null;
  body: string;
}

const SELECT = "SELECT id, vault_id, created_at, updated_at, archived_at, body FROM credentials";

/** Most credentials in one vault. */
const MAX_CREDENTIALS = 100;

/** A credential. Null: the account has no such credential in this vault. */
export async function getCredential(
  env: Env,
  account: string,
  vaultId: string,
  id: string,
): Promise<BetaManagedAgentsCredential | null> {
  if (!isId("credential", id)) return null;
  const row = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE id = ? AND vault_id = ? AND account = ?`)
    .bind(id, vaultId, account)
    .first<CredentialRow>();
  return row === null ? null : toCredential(row);
}

/** Adds a credential to an existing vault. Throws `RequestRefused` when the vault has one for this server, or is full. */
export async function createCredential(
  env: Env,
  actor: Actor,
  vaultId: string,
  { auth, display_name, metadata }: CredentialCreate,
): Promise<BetaManagedAgentsCredential> {
  const db = await catalog(env);
  const url = normalUrl(auth.mcp_server_url);
  const { results } = await db
    .prepare("SELECT server_url FROM credentials WHERE vault_id = ? AND archived_at IS NULL")
    .bind(vaultId)
    .all<{ server_url: string }>();
  if (results.some((row) => row.server_url === url))
    throw new RequestRefused({ code: "conflict", reason: "The vault already has a credential for this server." });
  if (results.length >= MAX_CREDENTIALS) throw refused("auth", `a vault holds at most ${MAX_CREDENTIALS} credentials`);
  const now = Date.now();
  const id = newId("credential", now);
  const shown: Auth =
    auth.type === "static_bearer"
      ? { type: auth.type, mcp_server_url: auth.mcp_server_url }
      : { type: auth.type, mcp_server_url: auth.mcp_server_url, expires_at: auth.expires_at ?? null, refresh: null };
  const body: Body = { auth: shown, display_name: display_name ?? null, metadata: metadata ?? {} };
  const sealed = await sealFor(env, id, auth.type === "static_bearer" ? auth.token : auth.access_token);
  const row = {
    id,
    vault_id: vaultId,
    created_at: now,
    updated_at: now,
    archived_at: null,
    body: JSON.stringify(body),
  };
  await db.batch([
    db
      .prepare(
        `INSERT INTO credentials (id, vault_id, account, created_at, updated_at, server_url, body, sealed)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .bind(id, vaultId, actor.account, now, now, url, row.body, sealed),
    auditStatement(db, actor, "credential.create", id),
  ]);
  return toCredential(row);
}

/** Changes a credential. Null: the account has no such credential in this vault. */
export async function updateCredential(
  env: Env,
  actor: Actor,
  vaultId: string,
  id: string,
  change: CredentialUpdate,
): Promise<BetaManagedAgentsCredential | null> {
  const current = await getCredential(env, actor.account, vaultId, id);
  if (current === null) return null;
  if (current.archived_at !== null) throw refused("id", "this credential is archived");
  const auth = current.auth as Auth;
  if (change.auth !== undefined && change.auth.type !== auth.type)
    throw refused("auth.type", `is ${auth.type} and cannot change`);
  const secret = change.auth?.type === "static_bearer" ? change.auth.token : change.auth?.access_token;
  const expires = change.auth?.type === "mcp_oauth" ? change.auth.expires_at : undefined;
  const body: Body = {
    auth: auth.type === "mcp_oauth" && expires !== undefined ? { ...auth, expires_at: expires } : auth,
    display_name: change.display_name ?? current.display_name ?? null,
    metadata: patchMetadata(current.metadata, change.metadata ?? {}, false),
  };
  const db = await catalog(env);
  const sealed = secret ? await sealFor(env, id, secret) : null;
  await db.batch([
    db
      .prepare(
        `UPDATE credentials SET body = ?, updated_at = ?, sealed = COALESCE(?, sealed)
          WHERE id = ? AND account = ? AND archived_at IS NULL`,
      )
      .bind(JSON.stringify(body), Date.now(), sealed, id, actor.account),
    auditStatement(db, actor, "credential.update", id),
  ]);
  return getCredential(env, actor.account, vaultId, id);
}

/** Archives a credential and destroys its secret. Repeating this changes nothing. Null: no such credential in this vault. */
export async function archiveCredential(
  env: Env,
  actor: Actor,
  vaultId: string,
  id: string,
): Promise<BetaManagedAgentsCredential | null> {
  const db = await catalog(env);
  const now = Date.now();
  await db.batch([
    db
      .prepare(
        `UPDATE credentials SET archived_at = ?, updated_at = ?, sealed = ''
          WHERE id = ? AND vault_id = ? AND account = ? AND archived_at IS NULL`,
      )
      .bind(now, now, id, vaultId, actor.account),
    auditStatement(db, actor, "credential.archive", id),
  ]);
  return getCredential(env, actor.account, vaultId, id);
}

/** Deletes a credential. False: the account has no such credential in this vault. */
export async function deleteCredential(env: Env, actor: Actor, vaultId: string, id: string): Promise<boolean> {
  const db = await catalog(env);
  const [deleted] = await db.batch([
    db
      .prepare("DELETE FROM credentials WHERE id = ? AND vault_id = ? AND account = ?")
      .bind(id, vaultId, actor.account),
    auditStatement(db, actor, "credential.delete", id),
  ]);
  return (deleted?.meta.changes ?? 0) > 0;
}

/** Credentials of a vault, newest first. */
export async function listCredentials(
  env: Env,
  account: string,
  vaultId: string,
  includeArchived: boolean,
  request: PageRequest,
): Promise<Page<BetaManagedAgentsCredential>> {
  const where = ["vault_id = ?", "account = ?", ...(includeArchived ? [] : ["archived_at IS NULL"])];
  const query = { select: SELECT, where, values: [vaultId, account], key: "id" };
  return readPage(await catalog(env), query, request, (row: CredentialRow) => row.id, toCredential);
}

/** The token for a server, from the first of these vaults that has one; null when none has. Send it to that server only. */
export async function tokenFor(
  env: Env,
  account: string,
  vaultIds: readonly string[],
  serverUrl: string,
): Promise<string | null> {
  const db = await catalog(env);
  for (const vaultId of vaultIds) {
    const row = await db
      .prepare(
        "SELECT id, sealed FROM credentials WHERE vault_id = ? AND account = ? AND server_url = ? AND archived_at IS NULL",
      )
      .bind(vaultId, account, normalUrl(serverUrl))
      .first<{ id: string; sealed: string }>();
    if (row) return unseal(env, secretName(row.id), row.sealed);
  }
  return null;
}

/** Normalizes an address. With and without a final slash it names the same server. */
function normalUrl(text: string): string {
  return new URL(text).href.replace(/\/+$/, "");
}

async function sealFor(env: Env, id: string, secret: string): Promise<string> {
  if (!canSeal(env)) throw refused("auth", "cannot be stored: this server has no GANTRY_ENCRYPTION_KEY");
  return seal(env, secretName(id), secret);
}

function secretName(id: string): string {
  return `credential|${id}`;
}

function refused(field: string, reason: string): RequestRefused {
  return new RequestRefused({ code: "invalid_request", field, reason });
}

function toCredential(row: CredentialRow): BetaManagedAgentsCredential {
  return {
    id: row.id,
    type: "vault_credential",
    vault_id: row.vault_id,
    ...(JSON.parse(row.body) as Body),
    created_at: toIso(row.created_at),
    updated_at: toIso(row.updated_at),
    archived_at: toIso(row.archived_at),
  } satisfies BetaManagedAgentsCredential;
}
