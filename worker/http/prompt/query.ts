import { QueryRequest } from "@gantry/protocol/api/doors.ts";
import type { Context } from "hono";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { failureOf, failureStatusOf, runToEnd } from "./run-to-end.ts";

/** `POST /query`: prompts with the same `accountId` share a session and run in order; other prompts run in parallel. */
export async function query(c: Context<App>): Promise<Response> {
  const body = await readJson(c.req.raw, QueryRequest);
  const target = { door: "query", name: body.accountId, field: "accountId" };
  const { ended, headers } = await runToEnd(c, target, body.query, "query");
  if (ended.outcome === "succeeded") return c.json({ success: true, response: ended.result }, 200, headers);
  return Response.json({ success: false, error: failureOf(ended) }, { status: failureStatusOf(ended), headers });
}
