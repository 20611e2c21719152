import { COMMON_QUERY } from "@gantry/protocol/api/common.ts";
import type { Context } from "hono";
import { z } from "zod";
import { ledgerOf } from "../accounts/ledger.ts";
import type { App } from "./context.ts";
import { readQuery } from "./query.ts";

const Query = z.strictObject({
  ...COMMON_QUERY,
  session_id: z.string().optional(),
  key_id: z.string().optional(),
  since: z.iso.date().optional(),
});

/** `GET /v1/usage`: tokens and cost by day, model, key and session, as the router counted them; failed calls too. */
export async function listUsage(c: Context<App>): Promise<Response> {
  const { session_id: sessionId, key_id: keyId, since } = readQuery(c, Query);
  const data = await ledgerOf(c.env, c.get("principal").account).usage({
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(since === undefined ? {} : { since }),
  });
  return c.json({ data });
}
