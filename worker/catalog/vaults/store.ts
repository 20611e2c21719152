import type { BetaManagedAgentsVault } from "@anthropic-ai/sdk/resources/beta/vaults/vaults";
import type { VaultCreate, VaultUpdate } from "@gantry/protocol/api/vaults.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Actor } from "../../storage/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../../base/env.ts";
import { Documents } from "../../storage/documents.ts";

/** Vaults: named collections of credentials. The credentials are in `credentials.ts`. */

type Body = Pick<BetaManagedAgentsVault, "display_name" | "metadata">;

/** Vaults of an account. */
export const vaults = new Documents<Body, BetaManagedAgentsVault>("vault", (stamp, body) => ({
  type: "vault",
  ...body,
  ...stamp,
}));

/** Creates an empty vault. */
export function createVault(env: Env, actor: Actor, wanted: VaultCreate): Promise<BetaManagedAgentsVault> {
  return vaults.create(env, actor, { display_name: wanted.display_name, metadata: wanted.metadata ?? {} });
}

/** Changes a vault. Null: the account has no such vault. */
export async function updateVault(
  env: Env,
  actor: Actor,
  id: string,
  change: VaultUpdate,
): Promise<BetaManagedAgentsVault | null> {
  const current = await vaults.getOpen(env, actor.account, id);
  if (current === null) return null;
  return vaults.replace(env, actor, id, {
    display_name: change.display_name ?? current.display_name,
    metadata: patchMetadata(current.metadata, change.metadata ?? {}, false),
  });
}

/** Archives a vault and destroys its secrets. Repeating this changes nothing. Null: the account has no such vault. */
export function archiveVault(env: Env, actor: Actor, id: string): Promise<BetaManagedAgentsVault | null> {
  return vaults.archive(env, actor, id, (db, now) => [
    db
      .prepare(
        `UPDATE credentials SET sealed = '', archived_at = ?, updated_at = ?
          WHERE vault_id = ? AND account = ? AND archived_at IS NULL`,
      )
      .bind(now, now, id, actor.account),
  ]);
}

/** Deletes a vault and its credentials. False: the account has no such vault. */
export function deleteVault(env: Env, actor: Actor, id: string): Promise<boolean> {
  return vaults.remove(env, actor, id, (db) => [
    db.prepare("DELETE FROM credentials WHERE vault_id = ? AND account = ?").bind(id, actor.account),
  ]);
}

/** Throws `RequestRefused` for a vault that the account does not have or that is archived. */
export async function checkVaults(env: Env, account: string, ids: readonly string[]): Promise<void> {
  for (const [i, id] of ids.entries()) {
    const vault = await vaults.get(env, account, id);
    if (!vault) throw new RequestRefused({ code: "not_found", what: `Vault ${JSON.stringify(id)}` });
    if (vault.archived_at !== null)
      throw new RequestRefused({ code: "invalid_request", field: `vault_ids[${i}]`, reason: "is archived" });
  }
}
