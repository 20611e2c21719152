import { UsageQuery } from "@gantry/protocol/api/lists.ts";
import type { Context } from "hono";
import { countWaiting } from "../../accounts/counting.ts";
import { ledgerOf } from "../../accounts/ledger.ts";
import type { App } from "../request/context.ts";
import { readQuery } from "../request/query.ts";

/** `GET /v1/usage`: tokens and cost by day, model, key and session, as counted by the router, including failed calls. */
export async function listUsage(c: Context<App>): Promise<Response> {
  const { session_id: sessionId, key_id: keyId, since } = readQuery(c, UsageQuery);
  await countWaiting();
  const data = await ledgerOf(c.env, c.get("principal").account).usage({
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(since === undefined ? {} : { since }),
  });
  return c.json({ data });
}
