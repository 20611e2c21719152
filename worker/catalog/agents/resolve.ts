import type { AgentCreate, AgentUpdate, ModelParams } from "@gantry/protocol/api/agents.ts";
import { Metadata } from "@gantry/protocol/api/common.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { BetaManagedAgentsAgent } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import { resolveTool } from "./tools.ts";

/** The contents of one version of an agent: everything except id, version number and times. */
export type AgentBody = Omit<
  BetaManagedAgentsAgent,
  "id" | "type" | "version" | "created_at" | "updated_at" | "archived_at"
>;
type Multiagent = AgentBody["multiagent"];

/** Largest stored version. A row can hold 2 MB. */
const MAX_BODY_BYTES = 1_500_000;

/** The first version of an agent. The caller resolves `multiagent`, which needs other agents. Throws `RequestRefused`. */
export function newBody(wanted: AgentCreate, multiagent: Multiagent): AgentBody {
  return checkBody({
    name: wanted.name,
    description: wanted.description ?? null,
    system: wanted.system ?? null,
    model: resolveModel(wanted.model),
    tools: (wanted.tools ?? []).map(resolveTool),
    mcp_servers: wanted.mcp_servers ?? [],
    skills: resolveSkills(wanted.skills),
    metadata: wanted.metadata ?? {},
    execution_identity: { type: "service_account" },
    multiagent,
  });
}

/** The next version: fields left out (`multiagent` undefined) keep their values. Throws `RequestRefused`. */
export function changedBody(body: AgentBody, change: AgentUpdate, multiagent: Multiagent | undefined): AgentBody {
  return checkBody({
    name: change.name ?? body.name,
    description: change.description === undefined ? body.description : change.description || null,
    system: change.system === undefined ? body.system : change.system || null,
    model: change.model === undefined ? body.model : resolveModel(change.model, body.model),
    tools: change.tools === undefined ? body.tools : (change.tools ?? []).map(resolveTool),
    mcp_servers: change.mcp_servers === undefined ? body.mcp_servers : (change.mcp_servers ?? []),
    skills: change.skills === undefined ? body.skills : resolveSkills(change.skills),
    metadata: patchMetadata(body.metadata, change.metadata ?? {}, false),
    execution_identity: { type: "service_account" },
    multiagent: multiagent === undefined ? body.multiagent : multiagent,
  });
}

/** A new model replaces the old one as a whole, except that an effort left out keeps its value. */
function resolveModel(wanted: ModelParams, before?: AgentBody["model"]): AgentBody["model"] {
  const config = typeof wanted === "string" ? { id: wanted } : wanted;
  const effort =
    config.effort === undefined
      ? before?.effort
      : typeof config.effort === "string"
        ? { type: config.effort }
        : config.effort;
  return {
    id: config.id,
    speed: config.speed ?? "standard",
    ...(effort ? { effort: effort as NonNullable<AgentBody["model"]["effort"]> } : {}),
    ...(config.inference_geo ? { inference_geo: config.inference_geo } : {}),
  };
}

function resolveSkills(skills: AgentCreate["skills"] | null): AgentBody["skills"] {
  return (skills ?? []).map(({ type, skill_id, version }) => ({ type, skill_id, version: version ?? "latest" }));
}

/**
 * Applies changes to metadata and checks the result. Null removes a key; with `emptyRemoves` (in environments) so does
 * an empty text. Throws `RequestRefused`.
 */
export function patchMetadata(
  before: Record<string, string>,
  patch: Record<string, string | null>,
  emptyRemoves: boolean,
): Record<string, string> {
  const after = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || (emptyRemoves && value === "")) delete after[key];
    else after[key] = value;
  }
  const checked = Metadata.safeParse(after);
  if (checked.success) return checked.data;
  const reason = checked.error.issues[0]?.message ?? "invalid";
  throw new RequestRefused({ code: "invalid_request", field: "metadata", reason, errorCode: "invalid_metadata" });
}

/** Checks the rules between the parts of an agent. */
function checkBody(body: AgentBody): AgentBody {
  const refuse = (field: string, reason: string): never => {
    throw new RequestRefused({ code: "invalid_request", field, reason });
  };
  const servers = body.mcp_servers.map((server) => server.name);
  const sets = body.tools.flatMap((tool) => (tool.type === "mcp_toolset" ? [tool.mcp_server_name] : []));
  for (const [i, name] of servers.entries()) {
    if (servers.indexOf(name) !== i) refuse(`mcp_servers[${i}].name`, `${JSON.stringify(name)} appears twice`);
    if (!sets.includes(name)) refuse(`mcp_servers[${i}]`, "no mcp_toolset in tools names this server");
  }
  const customs = new Set<string>();
  let count = 0;
  for (const [i, tool] of body.tools.entries()) {
    if (tool.type === "mcp_toolset" && !servers.includes(tool.mcp_server_name))
      refuse(`tools[${i}].mcp_server_name`, "is not the name of any of mcp_servers");
    if (tool.type === "custom") {
      count += 1;
      if (customs.has(tool.name)) refuse(`tools[${i}].name`, `${JSON.stringify(tool.name)} appears twice`);
      customs.add(tool.name);
      continue;
    }
    count += Math.max(tool.configs.length, 1);
    const names = tool.configs.map((config) => config.name as string);
    const twice = names.findIndex((name, at) => names.indexOf(name) !== at);
    if (twice >= 0) refuse(`tools[${i}].configs[${twice}].name`, `${JSON.stringify(names[twice])} appears twice`);
  }
  if (body.tools.filter((tool) => tool.type === "agent_toolset_20260401").length > 1)
    refuse("tools", "the built-in toolset appears twice");
  if (count > 256) refuse("tools", "at most 256 tools across all toolsets");
  if (new TextEncoder().encode(JSON.stringify(body)).byteLength > MAX_BODY_BYTES)
    refuse("body", `an agent may take at most ${MAX_BODY_BYTES} bytes`);
  return body;
}
