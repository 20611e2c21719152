import type { Tool, ToolConfig, UrlSources } from "@gantry/protocol/api/tools.ts";
import type {
  BetaManagedAgentsAgent,
  BetaManagedAgentsAgentToolConfig,
  BetaManagedAgentsAgentToolsetDefaultConfig,
  BetaManagedAgentsWebFetchURLSources,
} from "@anthropic-ai/sdk/resources/beta/agents/agents";

/** An agent's tools with all defaults filled in: each tool has its own policy or that of its toolset. */

type ResolvedTool = BetaManagedAgentsAgent["tools"][number];
type Setting = BetaManagedAgentsAgentToolsetDefaultConfig;
type Given = {
  enabled?: boolean | null | undefined;
  permission_policy?: Setting["permission_policy"] | null | undefined;
};

/** The engine's own tools run without approval by default. Tools of an MCP server are third-party code, so they ask. */
const BUILT_IN: Setting = { enabled: true, permission_policy: { type: "always_allow" } };
const MCP: Setting = { enabled: true, permission_policy: { type: "always_ask" } };

/** Fills in what a request leaves out of a tool. */
export function resolveTool(tool: Tool): ResolvedTool {
  switch (tool.type) {
    case "agent_toolset_20260401": {
      const standard = resolveSetting(tool.default_config, BUILT_IN);
      return {
        type: tool.type,
        default_config: standard,
        configs: (tool.configs ?? []).map((config) => resolveConfig(config, standard)),
      };
    }
    case "mcp_toolset": {
      const standard = resolveSetting(tool.default_config, MCP);
      return {
        type: tool.type,
        mcp_server_name: tool.mcp_server_name,
        default_config: standard,
        configs: (tool.configs ?? []).map((config) => ({ name: config.name, ...resolveSetting(config, standard) })),
      };
    }
    case "custom":
      return {
        type: tool.type,
        name: tool.name,
        description: tool.description,
        // A JSON Schema is stored unchanged.
        input_schema: tool.input_schema as Extract<ResolvedTool, { type: "custom" }>["input_schema"],
      };
  }
}

function resolveSetting(given: Given | null | undefined, standard: Setting): Setting {
  return {
    enabled: given?.enabled ?? standard.enabled,
    permission_policy: given?.permission_policy ?? standard.permission_policy,
  };
}

function resolveConfig(config: ToolConfig, standard: Setting): BetaManagedAgentsAgentToolConfig {
  const setting = resolveSetting(config, standard);
  switch (config.name) {
    case "web_fetch":
      return {
        name: config.name,
        type: config.name,
        ...setting,
        ...domains(config),
        ...(config.max_content_tokens ? { max_content_tokens: config.max_content_tokens } : {}),
        url_sources: config.url_sources ? resolveSources(config.url_sources) : null,
      };
    case "web_search":
      return {
        name: config.name,
        type: config.name,
        ...setting,
        ...domains(config),
        ...(config.user_location ? { user_location: withoutUndefined(config.user_location) } : {}),
      };
    default:
      return { name: config.name, type: config.name, ...setting } as BetaManagedAgentsAgentToolConfig;
  }
}

function domains(config: { allowed_domains?: string[] | undefined; blocked_domains?: string[] | undefined }): {
  allowed_domains?: string[];
  blocked_domains?: string[];
} {
  return {
    ...(config.allowed_domains === undefined ? {} : { allowed_domains: config.allowed_domains }),
    ...(config.blocked_domains === undefined ? {} : { blocked_domains: config.blocked_domains }),
  };
}

/** `"all"` is short for `{type: "all"}`. */
function resolveSources(sources: UrlSources): BetaManagedAgentsWebFetchURLSources {
  const long = <T extends object>(value: "all" | "none" | T | null | undefined): T | { type: "all" | "none" } | null =>
    typeof value === "string" ? { type: value } : (value ?? null);
  return {
    client_tool_results: long(sources.client_tool_results),
    server_tool_results: long(sources.server_tool_results),
    user_input: long(sources.user_input),
  } as BetaManagedAgentsWebFetchURLSources;
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Defined<T>;
}
