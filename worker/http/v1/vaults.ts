import manifest from "@gantry/worker/package.json" with { type: "json" };
import type {
  BetaManagedAgentsCredential,
  BetaManagedAgentsCredentialValidation,
  BetaManagedAgentsDeletedCredential,
} from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { BetaManagedAgentsDeletedVault } from "@anthropic-ai/sdk/resources/beta/vaults/vaults";
import {
  CredentialCreate,
  CredentialUpdate,
  VaultCreate,
  VaultListQuery,
  VaultUpdate,
} from "@gantry/protocol/api/vaults.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { toIso } from "../../storage/catalog.ts";
import {
  archiveCredential,
  createCredential,
  deleteCredential,
  getCredential,
  listCredentials,
  tokenFor,
  updateCredential,
} from "../../catalog/vaults/credentials.ts";
import { askServer } from "../../catalog/vaults/mcp-proxy.ts";
import { archiveVault, createVault, deleteVault, updateVault, vaults } from "../../catalog/vaults/store.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/vaults`, as in Managed Agents. Lists are newest first. */

const idOf = (c: Context<App>): string => c.req.param("id") ?? "";
const credentialIdOf = (c: Context<App>): string => c.req.param("credential") ?? "";
const accountOf = (c: Context<App>): string => c.get("principal").account;

/** `POST /v1/vaults` */
export async function createVaultDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, VaultCreate);
  await checkSpace(c.env);
  return c.json(await createVault(c.env, actorOf(c), body));
}

/** `GET /v1/vaults/{id}` */
export async function retrieveVault(c: Context<App>): Promise<Response> {
  return c.json(found(await vaults.get(c.env, accountOf(c), idOf(c)), "Vault", idOf(c)));
}

/** `POST /v1/vaults/{id}` */
export async function updateVaultDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, VaultUpdate);
  return c.json(found(await updateVault(c.env, actorOf(c), idOf(c), body), "Vault", idOf(c)));
}

/** `GET /v1/vaults` */
export async function listVaultsDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, VaultListQuery);
  return c.json(await vaults.list(c.env, accountOf(c), query.include_archived ?? false, pageOf(query)));
}

/** `DELETE /v1/vaults/{id}` */
export async function deleteVaultDoor(c: Context<App>): Promise<Response> {
  const id = idOf(c);
  found((await deleteVault(c.env, actorOf(c), id)) || null, "Vault", id);
  return c.json({ id, type: "vault_deleted" } satisfies BetaManagedAgentsDeletedVault);
}

/** `POST /v1/vaults/{id}/archive` */
export async function archiveVaultDoor(c: Context<App>): Promise<Response> {
  return c.json(found(await archiveVault(c.env, actorOf(c), idOf(c)), "Vault", idOf(c)));
}

/** `POST /v1/vaults/{id}/credentials` */
export async function createCredentialDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, CredentialCreate);
  await checkSpace(c.env);
  const vault = found(await vaults.get(c.env, accountOf(c), idOf(c)), "Vault", idOf(c));
  if (vault.archived_at !== null)
    throw new RequestRefused({ code: "invalid_request", field: "vault_id", reason: "this vault is archived" });
  return c.json(await createCredential(c.env, actorOf(c), vault.id, body));
}

/** `GET /v1/vaults/{id}/credentials/{credential}` */
export async function retrieveCredential(c: Context<App>): Promise<Response> {
  return c.json(await credentialOf(c));
}

/** `POST /v1/vaults/{id}/credentials/{credential}` */
export async function updateCredentialDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, CredentialUpdate);
  const updated = await updateCredential(c.env, actorOf(c), idOf(c), credentialIdOf(c), body);
  return c.json(found(updated, "Credential", credentialIdOf(c)));
}

/** `GET /v1/vaults/{id}/credentials` */
export async function listCredentialsDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, VaultListQuery);
  found(await vaults.get(c.env, accountOf(c), idOf(c)), "Vault", idOf(c));
  const includeArchived = query.include_archived ?? false;
  return c.json(await listCredentials(c.env, accountOf(c), idOf(c), includeArchived, pageOf(query)));
}

/** `DELETE /v1/vaults/{id}/credentials/{credential}` */
export async function deleteCredentialDoor(c: Context<App>): Promise<Response> {
  const id = credentialIdOf(c);
  found((await deleteCredential(c.env, actorOf(c), idOf(c), id)) || null, "Credential", id);
  return c.json({ id, type: "vault_credential_deleted" } satisfies BetaManagedAgentsDeletedCredential);
}

/** `POST /v1/vaults/{id}/credentials/{credential}/archive` */
export async function archiveCredentialDoor(c: Context<App>): Promise<Response> {
  const archived = await archiveCredential(c.env, actorOf(c), idOf(c), credentialIdOf(c));
  return c.json(found(archived, "Credential", credentialIdOf(c)));
}

/**
 * `POST /v1/vaults/{id}/credentials/{credential}/mcp_oauth_validate`: opens a conversation with the MCP server as an
 * engine would, using the credential.
 */
export async function validateCredential(c: Context<App>): Promise<Response> {
  const credential = await credentialOf(c);
  if (credential.auth.type !== "mcp_oauth")
    throw new RequestRefused({ code: "invalid_request", field: "credential_id", reason: "is not of type mcp_oauth" });
  const url = credential.auth.mcp_server_url;
  const token = await tokenFor(c.env, accountOf(c), [credential.vault_id], url);
  const headers = new Headers({ accept: "application/json, text/event-stream", "content-type": "application/json" });
  const clientInfo = { name: "gantry", version: manifest.version };
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  const response = token === null ? null : await askServer(c.env, url, "POST", headers, body, token);
  await response?.body?.cancel();
  const status =
    response?.ok === true ? "valid" : response?.status === 401 || response?.status === 403 ? "invalid" : "unknown";
  const failed = {
    method: "initialize",
    // The server's body is left out because it may repeat the token.
    http_response: response && {
      status_code: response.status,
      content_type: response.headers.get("content-type") ?? "",
      body: "",
      body_truncated: true,
    },
  };
  return c.json({
    type: "vault_credential_validation",
    credential_id: credential.id,
    vault_id: credential.vault_id,
    status,
    has_refresh_token: false,
    mcp_probe: status === "valid" || token === null ? null : failed,
    refresh: null,
    validated_at: toIso(Date.now()),
  } satisfies BetaManagedAgentsCredentialValidation);
}

async function credentialOf(c: Context<App>): Promise<BetaManagedAgentsCredential> {
  const id = credentialIdOf(c);
  return found(await getCredential(c.env, accountOf(c), idOf(c), id), "Credential", id);
}
