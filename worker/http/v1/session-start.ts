import type { SessionCreate } from "@gantry/protocol/api/sessions.ts";
import type { ResourceParams } from "@gantry/protocol/api/resources.ts";
import { Metadata } from "@gantry/protocol/api/common.ts";
import { sleepAfterMsOf } from "@gantry/protocol/api/environments.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { WORKER_SERVER, onWorker, throughVaults, toEngineSetup } from "../../catalog/agents/engine-setup.ts";
import { agentOf } from "../../catalog/agents/session-agent.ts";
import { environments } from "../../catalog/environments/store.ts";
import { resolveResources } from "../../resources/resolve.ts";
import type { WantedResource } from "../../resources/resolve.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { modelsOf } from "../../models/models.ts";
import type { SessionSetup } from "../../catalog/session-setup.ts";
import { templates } from "../../catalog/templates/store.ts";
import { checkVaults } from "../../catalog/vaults/store.ts";
import type { App } from "../request/context.ts";
import { found } from "../request/query.ts";
import { AGENT_MAX_TURNS, mergeOptions } from "../../session/store/run-options.ts";
import { checkOptions } from "../../session/call/check-options.ts";

/** Everything that a session starts with, validated. */
export interface SessionStart {
  readonly setup: SessionSetup;
  readonly resources: readonly WantedResource[];
  /** Options of the session's first run. */
  readonly options: RunOptions;
  readonly agentId: string | null;
}

/** The fields that a request and a template share. */
type Start = Partial<Omit<SessionCreate, "initial_events" | "template" | "budget">>;

/** Merges a request with its template. Metadata is combined; any other field of the request replaces the template's. */
export async function withTemplate(
  c: Context<App>,
  { template: id, initial_events: _events, budget: _budget, ...own }: SessionCreate,
): Promise<Start> {
  if (id === undefined) return own;
  const template = found(await templates.get(c.env, c.get("principal").account, id), "Template", id);
  if (template.archived_at !== null) throw refused("template", "is archived");
  const { type: _type, id: _id, created_at: _c, updated_at: _u, archived_at: _a, ...start } = template;
  const { name: _name, description: _description, ...base } = start;
  const metadata = Metadata.safeParse({ ...base.metadata, ...own.metadata });
  if (!metadata.success) throw refused("metadata", metadata.error.issues[0]?.message ?? "is too large");
  return { ...base, ...own, metadata: metadata.data };
}

/** Validates everything that a session starts with. Throws `invalid_request` with the name of the field. */
export async function resolveStart(c: Context<App>, start: Start): Promise<SessionStart> {
  const { env } = c;
  const { account } = c.get("principal");
  const agent = start.agent === undefined ? null : await agentOf(env, account, start.agent);
  const environment = start.environment_id === undefined ? null : await environmentOf(c, start.environment_id);
  const sleepAfterMs = environment ? sleepAfterMsOf(environment.metadata) : undefined;
  const vaultIds = start.vault_ids ?? [];
  await checkVaults(env, account, vaultIds);
  const plain = agent === null ? {} : toEngineSetup(agent);
  const selfHosted = environment?.config.type === "self_hosted";
  if (selfHosted) checkSelfHosted(agent, start);
  const anywhere = agent === null || vaultIds.length === 0 ? plain : throughVaults(plain, agent);
  const fromAgent = selfHosted ? onWorker(anywhere) : anywhere;
  if (start.ask_user_question && fromAgent.tools === undefined)
    throw refused("ask_user_question", "requires an agent: plain Claude Code never asks questions");
  const engine: SessionSetup["engine"] = {
    ...fromAgent,
    ...(start.model === undefined ? {} : { model: start.model }),
    ...(start.permission_mode === undefined ? {} : { permissionMode: start.permission_mode }),
    ...(start.ask_user_question && fromAgent.tools
      ? { tools: { ...fromAgent.tools, tools: { ...fromAgent.tools.tools, AskUserQuestion: "ask" as const } } }
      : {}),
  };
  // Invalid options are refused now rather than at the first prompt.
  const wantedOptions = checkOptions(env, {
    maxTurns: AGENT_MAX_TURNS,
    ...(engine.model === undefined ? {} : { model: engine.model }),
    ...(engine.permissionMode === undefined ? {} : { permissionMode: engine.permissionMode }),
  });
  const wanted: readonly ResourceParams[] = start.resources ?? [];
  const setup: SessionSetup = {
    agent: agent === null ? null : JSON.stringify(agent),
    environmentId: start.environment_id ?? null,
    title: start.title ?? null,
    metadata: start.metadata ?? {},
    engine,
    ...(selfHosted ? { selfHosted } : {}),
    ...(sleepAfterMs === undefined ? {} : { sleepAfterMs }),
    ...(vaultIds.length === 0 ? {} : { vaultIds }),
    archivedAt: null,
    updatedAt: Date.now(),
  };
  return {
    setup,
    resources: await resolveResources(env, account, wanted, [], "resources"),
    options: mergeOptions({
      defaultMode: env.GANTRY_PERMISSION_MODE,
      setup,
      wanted: wantedOptions,
      isApi: true,
      model: () => modelsOf(env).defaultModel,
    }),
    agentId: agent === null || agent.id === "" ? null : agent.id,
  };
}

async function environmentOf(c: Context<App>, id: string) {
  const environment = found(await environments.get(c.env, c.get("principal").account, id), "Environment", id);
  if (environment.archived_at !== null) throw refused("environment_id", "is archived");
  return environment;
}

/** Refuses features that a self-hosted environment lacks: they would silently run in Gantry's own sandbox instead. */
function checkSelfHosted(agent: Awaited<ReturnType<typeof agentOf>> | null, start: Start): void {
  if (agent === null) throw refused("agent", "is required in a self-hosted environment: it defines the worker's tools");
  if (agent.multiagent !== null)
    throw refused("agent", "starts sub-agents, which a self-hosted environment does not support");
  if (agent.mcp_servers.some(({ name }) => name === WORKER_SERVER))
    throw refused("agent", `has an MCP server named ${WORKER_SERVER}, which is reserved for the worker's tools`);
  if ((start.resources ?? []).length > 0)
    throw refused("resources", "cannot be mounted in a self-hosted environment: its files stay on its own machine");
}

function refused(field: string, reason: string): RequestRefused {
  return new RequestRefused({ code: "invalid_request", field, reason });
}
