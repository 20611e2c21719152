import { AccountPageQuery, AccountQuery, KeyCreate } from "@gantry/protocol/api/keys.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { listAudit } from "../../storage/audit.ts";
import { ADMIN_KEY_ID, createKey, getKey, listKeys, revokeKey } from "../../accounts/keys.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/keys` and `/v1/audit`, for keys with the scope `admin` in their own account. */

/** The account that a request concerns: its own, or any account with the installation's own key. */
function accountOf(c: Context<App>, wanted: string | undefined): string {
  const { account, keyId } = c.get("principal");
  if (wanted === undefined || wanted === account) return account;
  if (keyId === ADMIN_KEY_ID) return wanted;
  const reason = "only the installation's own key can access other accounts";
  throw new RequestRefused({ code: "invalid_request", field: "account", reason });
}

/** `POST /v1/keys`. The answer is the only one that shows the key. */
export async function createKeyDoor(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, KeyCreate);
  const account = accountOf(c, body.account);
  await checkSpace(c.env);
  const { name, scopes, expires_in_seconds: expiresInSeconds = null } = body;
  const key = await createKey(c.env, actorOf(c), { account, name, scopes, expiresInSeconds });
  if (key === null) throw new RequestRefused({ code: "unauthorized" });
  return c.json(key, 200, { "cache-control": "no-store" });
}

/** `GET /v1/keys`, newest first; revoked ones are not shown. */
export async function listKeysDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, AccountPageQuery);
  return c.json(await listKeys(c.env, accountOf(c, query.account), pageOf(query)));
}

/** `GET /v1/keys/{id}` */
export async function retrieveKey(c: Context<App>): Promise<Response> {
  const { account } = readQuery(c, AccountQuery);
  const id = c.req.param("id") ?? "";
  return c.json(found(await getKey(c.env, accountOf(c, account), id), "Key", id));
}

/** `DELETE /v1/keys/{id}`: revokes a key, at once in this isolate and within 30 s in all others. */
export async function revokeKeyDoor(c: Context<App>): Promise<Response> {
  const { account } = readQuery(c, AccountQuery);
  const id = c.req.param("id") ?? "";
  found((await revokeKey(c.env, actorOf(c), accountOf(c, account), id)) || null, "Key", id);
  return c.json({ id, type: "api_key_deleted" });
}

/** `GET /v1/audit`: the audit log, newest first. */
export async function listAuditDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, AccountPageQuery);
  return c.json(await listAudit(c.env, accountOf(c, query.account), pageOf(query)));
}
