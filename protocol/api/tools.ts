import { z } from "zod";

/** Tools of an agent in a request. Absent fields get their defaults when the agent is stored. */

export const PermissionPolicy = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("always_allow") }),
  z.strictObject({ type: z.literal("always_ask") }),
  z.strictObject({ type: z.literal("auto") }),
]);

const SETTING = { enabled: z.boolean().nullish(), permission_policy: PermissionPolicy.nullish() };

/** Settings for all tools of a set. */
const DefaultConfig = z.strictObject(SETTING);

const Host = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i, "must be a host name, without scheme or path");
const Domains = z.array(Host).min(1).max(64);

/** Built-in tools whose only settings are whether and how they may be used. */
const PLAIN_TOOLS = ["bash", "edit", "read", "write", "glob", "grep"] as const;

const [bash, edit, read, write, glob, grep] = PLAIN_TOOLS.map((name) =>
  z.strictObject({ name: z.literal(name), type: z.literal(name).optional(), ...SETTING }),
) as [PlainTool, PlainTool, PlainTool, PlainTool, PlainTool, PlainTool];
type PlainTool = z.ZodObject<
  { name: z.ZodLiteral<PlainName>; type: z.ZodOptional<z.ZodLiteral<PlainName>> } & typeof SETTING,
  z.core.$strict
>;
export type PlainName = (typeof PLAIN_TOOLS)[number];

const ToolReference = z.strictObject({ type: z.literal("tool_reference"), name: z.string().min(1).max(128) });
const All = z.strictObject({ type: z.literal("all") });
const None = z.strictObject({ type: z.literal("none") });
const Shorthand = z.enum(["all", "none"]);
const ToolFilter = z.union([
  Shorthand,
  z.discriminatedUnion("type", [
    All,
    None,
    z.strictObject({ type: z.literal("only"), tools: z.array(ToolReference) }),
    z.strictObject({ type: z.literal("except"), tools: z.array(ToolReference) }),
  ]),
]);

/** Sources from which the tool may take URLs to fetch. Absent: any source. */
const UrlSources = z.strictObject({
  client_tool_results: ToolFilter.nullish(),
  server_tool_results: ToolFilter.nullish(),
  user_input: z.union([Shorthand, z.discriminatedUnion("type", [All, None])]).nullish(),
});
export type UrlSources = z.infer<typeof UrlSources>;

const oneList = (config: { allowed_domains?: unknown; blocked_domains?: unknown }): boolean =>
  config.allowed_domains === undefined || config.blocked_domains === undefined;
const ONE_LIST = { error: "cannot be combined with allowed_domains", path: ["blocked_domains"] };

const WebFetch = z
  .strictObject({
    name: z.literal("web_fetch"),
    type: z.literal("web_fetch").optional(),
    ...SETTING,
    allowed_domains: Domains.optional(),
    blocked_domains: Domains.optional(),
    max_content_tokens: z.int().positive().nullish(),
    url_sources: UrlSources.nullish(),
  })
  .refine(oneList, ONE_LIST);

const WebSearch = z
  .strictObject({
    name: z.literal("web_search"),
    type: z.literal("web_search").optional(),
    ...SETTING,
    allowed_domains: Domains.optional(),
    blocked_domains: Domains.optional(),
    user_location: z
      .strictObject({
        type: z.literal("approximate"),
        city: z.string().nullish(),
        country: z.string().nullish(),
        region: z.string().nullish(),
        timezone: z.string().nullish(),
      })
      .nullish(),
  })
  .refine(oneList, ONE_LIST);

export const ToolConfig = z.discriminatedUnion("name", [bash, edit, read, write, glob, grep, WebFetch, WebSearch]);
export type ToolConfig = z.infer<typeof ToolConfig>;

/** The engine's own tools. */
const AgentToolset = z.strictObject({
  type: z.literal("agent_toolset_20260401"),
  configs: z.array(ToolConfig).max(256).optional(),
  default_config: DefaultConfig.nullish(),
});

/** The tools of one of the agent's MCP servers. */
const McpToolset = z.strictObject({
  type: z.literal("mcp_toolset"),
  mcp_server_name: z.string().min(1).max(255),
  configs: z
    .array(z.strictObject({ name: z.string().min(1).max(128), ...SETTING }))
    .max(256)
    .optional(),
  default_config: DefaultConfig.nullish(),
});

/** A tool that the client of a session carries out. `input_schema` is a JSON Schema, stored unchanged. */
const CustomTool = z.strictObject({
  type: z.literal("custom"),
  name: z.string().regex(/^[\w-]{1,128}$/, "must be 1-128 letters, digits, underscores and hyphens"),
  description: z.string().min(1).max(16_384),
  input_schema: z.looseObject({
    type: z.literal("object"),
    properties: z.record(z.string(), z.unknown()).nullish(),
    required: z.array(z.string()).nullish(),
  }),
});

export const Tool = z.discriminatedUnion("type", [AgentToolset, McpToolset, CustomTool]);
export type Tool = z.infer<typeof Tool>;
