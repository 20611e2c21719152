import type { BetaManagedAgentsVault } from "@anthropic-ai/sdk/resources/beta/vaults/vaults";
import type { VaultCreate, VaultUpdate } from "@gantry/protocol/api/vaults.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import { auditStatement } from "../accounts/audit.ts";
import type { Actor } from "../accounts/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../env.ts";
import { catalog, toIso } from "../storage/catalog.ts";
import { readPage } from "../storage/paging.ts";
import type { Page, PageRequest } from "../storage/paging.ts";

/** Vaults: named places for credentials, which are in `credentials.ts`. */

interface VaultRow {
  id: string;
  created_at: number;
  updated_at: number;
  archived_at: number | null;
  body: string;
}

const SELECT = "SELECT id, created_at, updated_at, archived_at, body FROM vaults";

/** Null: not in this account. */
export async function getVault(env: Env, account: string, id: string): Promise<BetaManagedAgentsVault | null> {
  if (!isId("vault", id)) return null;
  const row = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE id = ? AND account = ?`)
    .bind(id, account)
    .first<VaultRow>();
  return row === null ? null : toVault(row);
}

export async function createVault(env: Env, actor: Actor, wanted: VaultCreate): Promise<BetaManagedAgentsVault> {
  const db = await catalog(env);
  const now = Date.now();
  const body = JSON.stringify({ display_name: wanted.display_name, metadata: wanted.metadata ?? {} });
  const row: VaultRow = { id: newId("vault", now), created_at: now, updated_at: now, archived_at: null, body };
  await db.batch([
    db
      .prepare("INSERT INTO vaults (id, account, created_at, updated_at, body) VALUES (?, ?, ?, ?, ?)")
      .bind(row.id, actor.account, now, now, body),
    auditStatement(db, actor, "vault.create", row.id),
  ]);
  return toVault(row);
}

/** Null: not in this account. */
export async function updateVault(
  env: Env,
  actor: Actor,
  id: string,
  change: VaultUpdate,
): Promise<BetaManagedAgentsVault | null> {
  const current = await getVault(env, actor.account, id);
  if (current === null) return null;
  if (current.archived_at !== null)
    throw new RequestRefused({ code: "invalid_request", field: "id", reason: "this vault is archived" });
  const body = JSON.stringify({
    display_name: change.display_name ?? current.display_name,
    metadata: patchMetadata(current.metadata, change.metadata ?? {}, false),
  });
  const db = await catalog(env);
  await db.batch([
    db
      .prepare("UPDATE vaults SET body = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL")
      .bind(body, Date.now(), id, actor.account),
    auditStatement(db, actor, "vault.update", id),
  ]);
  return getVault(env, actor.account, id);
}

/** Archives a vault and destroys the secrets in it. Again: nothing changes. Null: not in this account. */
export async function archiveVault(env: Env, actor: Actor, id: string): Promise<BetaManagedAgentsVault | null> {
  const db = await catalog(env);
  const now = Date.now();
  await db.batch([
    db
      .prepare("UPDATE vaults SET archived_at = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL")
      .bind(now, now, id, actor.account),
    auditStatement(db, actor, "vault.archive", id),
    db
      .prepare(
        `UPDATE credentials SET sealed = '', archived_at = ?, updated_at = ?
          WHERE vault_id = ? AND account = ? AND archived_at IS NULL`,
      )
      .bind(now, now, id, actor.account),
  ]);
  return getVault(env, actor.account, id);
}

/** Deletes a vault and what is in it. False: not in this account. */
export async function deleteVault(env: Env, actor: Actor, id: string): Promise<boolean> {
  const db = await catalog(env);
  const [deleted] = await db.batch([
    db.prepare("DELETE FROM vaults WHERE id = ? AND account = ?").bind(id, actor.account),
    auditStatement(db, actor, "vault.delete", id),
    db.prepare("DELETE FROM credentials WHERE vault_id = ? AND account = ?").bind(id, actor.account),
  ]);
  return (deleted?.meta.changes ?? 0) > 0;
}

/** Vaults of an account, newest first. */
export async function listVaults(
  env: Env,
  account: string,
  includeArchived: boolean,
  request: PageRequest,
): Promise<Page<BetaManagedAgentsVault>> {
  const where = ["account = ?", ...(includeArchived ? [] : ["archived_at IS NULL"])];
  const query = { select: SELECT, where, values: [account], key: "id" };
  return readPage(await catalog(env), query, request, (row: VaultRow) => row.id, toVault);
}

/** Refuses vaults that are not there, under the name of the request's field. */
export async function checkVaults(env: Env, account: string, ids: readonly string[]): Promise<void> {
  for (const [i, id] of ids.entries()) {
    const vault = await getVault(env, account, id);
    if (!vault) throw new RequestRefused({ code: "not_found", what: `Vault ${JSON.stringify(id)}` });
    if (vault.archived_at !== null)
      throw new RequestRefused({ code: "invalid_request", field: `vault_ids[${i}]`, reason: "is archived" });
  }
}

function toVault(row: VaultRow): BetaManagedAgentsVault {
  const { display_name, metadata } = JSON.parse(row.body) as Pick<BetaManagedAgentsVault, "display_name" | "metadata">;
  return {
    id: row.id,
    type: "vault",
    display_name,
    metadata,
    created_at: toIso(row.created_at),
    updated_at: toIso(row.updated_at),
    archived_at: toIso(row.archived_at),
  } satisfies BetaManagedAgentsVault;
}
