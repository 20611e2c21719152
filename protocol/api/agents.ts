import { z } from "zod";
import { COMMON_QUERY, Metadata, MetadataPatch, PAGE_QUERY, QueryFlag, When, queryNumber } from "./common.ts";
import { peerLimitsOf } from "../peers.ts";
import { Tool } from "./tools.ts";

/** Bodies and queries of `/v1/agents`, with the names of Managed Agents. */

const Effort = z.enum(["low", "medium", "high", "xhigh", "max"]);

export const ModelConfig = z.strictObject({
  id: z.string().min(1).max(256),
  effort: z.union([Effort, z.strictObject({ type: Effort })]).nullish(),
  inference_geo: z.string().max(64).nullish(),
  speed: z.enum(["standard", "fast"]).nullish(),
});
const Model = z.union([z.string().min(1).max(256), ModelConfig]);
export type ModelParams = z.infer<typeof Model>;

const isHttpUrl = (text: string): boolean => z.url({ protocol: /^https?$/ }).safeParse(text).success;

const McpServer = z.strictObject({
  type: z.literal("url"),
  name: z.string().min(1).max(255),
  url: z
    .string()
    .max(2048)
    .refine((url) => isHttpUrl(url) || peerLimitsOf(url) !== null, "must be an http or https URL")
    .refine(
      (url) => peerLimitsOf(url) !== "bad",
      "accepts only max_sessions, max_depth and max_budget_usd, as numbers within their limits",
    ),
});

const Skill = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("anthropic"), skill_id: z.string().min(1).max(128), version: z.string().nullish() }),
  z.strictObject({ type: z.literal("custom"), skill_id: z.string().min(1).max(128), version: z.string().nullish() }),
]);

/** Runs have no identity in another cloud. Only the default value is accepted. */
const ExecutionIdentity = z.strictObject({ type: z.literal("service_account") });

const AgentRef = z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().min(1).optional() });
const Self = z.strictObject({ type: z.literal("self") });
const Advisor = z.strictObject({ type: z.literal("advisor"), model: z.string().min(1).max(256) });
/** A sub-agent that an agent may start: an id, a reference, or the agent itself. */
const Predefined = z.union([z.string(), z.discriminatedUnion("type", [AgentRef, Self])]);
export type PredefinedAgent = z.infer<typeof Predefined>;
const RosterEntry = z.union([z.string(), z.discriminatedUnion("type", [AgentRef, Self, Advisor])]);
export type RosterEntry = z.infer<typeof RosterEntry>;

const Disabled = z.strictObject({ type: z.literal("disabled") });
const InlineAgents = z.discriminatedUnion("type", [z.strictObject({ type: z.literal("enabled") }), Disabled]);
const Spawning = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("enabled"),
    inline_agents: InlineAgents.nullish(),
    predefined_agents: z.array(Predefined).max(20).nullish(),
  }),
  Disabled,
]);
export type SpawningParams = z.infer<typeof Spawning>;

const Multiagent = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("coordinator"), agents: z.array(RosterEntry).min(1).max(20) }),
  z.strictObject({
    type: z.literal("multiagent_20261001"),
    advisor: z
      .discriminatedUnion("type", [
        z.strictObject({ type: z.literal("enabled"), model: z.string().min(1).max(256) }),
        Disabled,
      ])
      .nullish(),
    subagents: Spawning.nullish(),
    workflows: Spawning.nullish(),
  }),
]);
export type MultiagentParams = z.infer<typeof Multiagent>;

const Name = z.string().min(1).max(256);
const Description = z.string().max(2048);
const System = z.string().max(500_000);
const McpServers = z.array(McpServer).max(20);
const Skills = z.array(Skill).max(64);
const Tools = z.array(Tool).max(256);

export const AgentCreate = z.strictObject({
  model: Model,
  name: Name,
  description: Description.nullish(),
  execution_identity: ExecutionIdentity.nullish(),
  mcp_servers: McpServers.optional(),
  metadata: Metadata.optional(),
  multiagent: Multiagent.nullish(),
  skills: Skills.optional(),
  system: System.nullish(),
  tools: Tools.optional(),
});
export type AgentCreate = z.infer<typeof AgentCreate>;

/** An absent field stays unchanged; null or an empty list clears it. `version` is the version that the change is based on. */
export const AgentUpdate = z.strictObject({
  model: Model.optional(),
  name: Name.optional(),
  description: Description.nullish(),
  execution_identity: ExecutionIdentity.nullish(),
  mcp_servers: McpServers.nullish(),
  metadata: MetadataPatch.nullish(),
  multiagent: Multiagent.nullish(),
  skills: Skills.nullish(),
  system: System.nullish(),
  tools: Tools.nullish(),
  version: z.int().min(1).optional(),
});
export type AgentUpdate = z.infer<typeof AgentUpdate>;

export const AgentQuery = z.strictObject({ ...COMMON_QUERY, version: queryNumber(1, 999_999_999).optional() });

export const AgentListQuery = z.strictObject({
  ...PAGE_QUERY,
  include_archived: QueryFlag.optional(),
  "created_at[gte]": When.optional(),
  "created_at[lte]": When.optional(),
});
