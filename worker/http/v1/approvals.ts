import type { Context } from "hono";
import { toIso } from "../../storage/catalog.ts";
import { waitingSessionIds } from "../../storage/session-index.ts";
import type { App } from "../request/context.ts";
import { toSessionStub } from "../../session/call/session-of.ts";

/** The fields that show what to approve: the input and, for a question or a plan, its questions or text. */
function shown({ kind, input }: { kind: string; input: string }): object {
  const given = JSON.parse(input) as Record<string, unknown>;
  if (kind === "question") return { input: given, questions: given["questions"] ?? [] };
  return kind === "plan" ? { input: given, plan: given["plan"] ?? "" } : { input: given };
}

/** `GET /v1/approvals`: tool calls that wait for an answer, in all sessions of the account, oldest first. */
export async function listApprovals(c: Context<App>): Promise<Response> {
  const { account } = c.get("principal");
  const data: object[] = [];
  for (const sessionId of await waitingSessionIds(c.env, account)) {
    for (const call of (await toSessionStub(c.env, sessionId).waiting(account)) ?? []) {
      // A worker answers this call, so there is nothing to approve.
      if (call.kind === "worker") continue;
      data.push({
        type: "approval",
        session_id: sessionId,
        run_id: call.runId,
        tool_use_id: call.toolUseId,
        kind: call.kind === "worker_ask" ? "permission" : call.kind,
        tool: call.tool,
        ...shown(call),
        asked_at: toIso(call.askedAt),
      });
    }
  }
  return c.json({ data });
}
