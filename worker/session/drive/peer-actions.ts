import type { StoredEvent } from "@gantry/protocol/event.ts";
import { RequestRefused, errorMessage } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import { auditOnce } from "../../storage/audit.ts";
import { onWorker, toEngineSetup } from "../../catalog/agents/engine-setup.ts";
import { agentOf } from "../../catalog/agents/session-agent.ts";
import type { Env } from "../../base/env.ts";
import { AGENT_MAX_TURNS } from "../store/run-options.ts";
import { report } from "../../base/log.ts";
import { checkSpace } from "../../sandbox/space.ts";
import { catalog } from "../../storage/catalog.ts";
import { indexSession } from "../../storage/session-index.ts";
import { Peers, unknown } from "./peers.ts";
import type { PeerActions, PeersDeps } from "./peers.ts";
import type { Run } from "../store/run-queue.ts";
import { sessionOf } from "../call/session-of.ts";
import { submit } from "../call/submit.ts";
import type { Settings } from "../store/settings.ts";

/** Limits on what one session may read of another. */
const MAX_CHARS = 50_000;
const MAX_MESSAGES = 20;

/** The other sessions, as one session's object sees them. */
export function peersOf(
  env: Env,
  settings: Settings,
  account: () => string,
  parts: Omit<PeersDeps, "actions" | "now" | "newEventId" | "report">,
): Peers {
  const own = () => ({
    id: parts.sessionId,
    account: account(),
    environmentId: settings.setup()?.environmentId ?? null,
    selfHosted: settings.selfHostedIn() !== null,
  });
  return new Peers({
    ...parts,
    actions: peerActions(env, own),
    now: () => Date.now(),
    newEventId: () => newId("event"),
    report: (entry) => report({ sessionId: parts.sessionId, ...entry }),
  });
}

/** Notifies the session that waits for this run. Only a hint: that session also polls now and then. */
export async function tellWhoWaits(env: Env, account: string, { options }: Run): Promise<void> {
  const waits = options.startedBy?.at(-1);
  if (waits === undefined) return;
  // Only after the end of the run was stored.
  await scheduler.wait(0);
  await sessionOf(env, waits)
    .peerEnded(account)
    .catch((error: unknown) => report({ event: "peer_not_told", sessionId: waits, error: String(error) }));
}

/** What a session does to others on behalf of its account. */
function peerActions(
  env: Env,
  own: () => { id: string; account: string; environmentId: string | null; selfHosted: boolean },
): PeerActions {
  const stubOf = (id: string) => sessionOf(env, id);
  return {
    async begin(call, { message, agent, title }, limits, startedBy) {
      const { id, account, environmentId, selfHosted } = own();
      try {
        await checkSpace(env);
        if (!isId("session", call.target)) return { refused: unknown(call.target) };
        const stub = stubOf(call.target);
        const db = await catalog(env);
        const actor = { account, keyId: id, requestId: call.toolUseId };
        if (call.tool === "start_session") {
          const resolved = await agentOf(env, account, agent ?? "");
          if (selfHosted && resolved.multiagent !== null)
            return { refused: "In a self-hosted environment there are no agents that start sub-agents." };
          const engine = toEngineSetup(resolved);
          await indexSession(env, { id: call.target, account, createdAt: Date.now(), agentId: resolved.id });
          await auditOnce(db, actor, "session.create", call.target);
          await stub.create(account, {
            agent: JSON.stringify(resolved),
            environmentId,
            title: title ?? null,
            metadata: {},
            engine: selfHosted ? onWorker(engine) : engine,
            ...(selfHosted ? { selfHosted } : {}),
            archivedAt: null,
            updatedAt: Date.now(),
          });
        }
        const facts = await stub.facts(account);
        if (!facts) return { refused: unknown(call.target) };
        const options = {
          maxTurns: AGENT_MAX_TURNS,
          startedBy: [...startedBy],
          ...(limits.maxBudgetUsd === null ? {} : { maxBudgetUsd: limits.maxBudgetUsd }),
        };
        const prompt = [{ type: "text" as const, text: message }];
        await submit(env, actor, call.target, { prompt, options, trigger: "session" }, { runId: call.targetRun });
        await auditOnce(db, actor, "session.message", call.target);
        const its = facts.setup.agent === null ? null : (JSON.parse(facts.setup.agent) as { name: string });
        return { agentName: its?.name ?? "Claude Code" };
      } catch (error) {
        if (error instanceof RequestRefused) return { refused: errorMessage(error.error) };
        throw error;
      }
    },
    async result(target, runId) {
      return stubOf(target).resultOf(own().account, runId);
    },
    async read(target) {
      if (!isId("session", target)) return null;
      const { account } = own();
      const facts = await stubOf(target).facts(account);
      const page = await stubOf(target).page(account, {
        view: { thread: null },
        cursor: null,
        limit: MAX_MESSAGES,
        order: "desc",
        types: ["user.message", "agent.message"],
        notTypes: null,
        created: [],
      });
      if (!facts || !page) return null;
      const said = page.lines.toReversed().map((line) => toText(JSON.parse(line) as StoredEvent));
      return `Session ${target} is ${facts.status}.\n\n${said.join("\n\n")}`.slice(0, MAX_CHARS);
    },
    async cancel(target, runId) {
      await stubOf(target).cancel(own().account, runId);
    },
  };
}

function toText(event: StoredEvent): string {
  if (event.type !== "user.message" && event.type !== "agent.message") return "";
  const text = event.content.map((block) => (block.type === "text" ? block.text : `[${block.type}]`)).join("\n");
  return `${event.type === "user.message" ? "It was told" : "It said"}: ${text}`;
}
