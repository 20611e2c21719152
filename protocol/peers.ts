import { z } from "zod";
import type { AgentSetup } from "./agent-setup.ts";

/**
 * URL of the built-in MCP server whose tools start and message other sessions of the account. An agent gets the tools when
 * one of its `mcp_servers` has this URL. As for any server, its `mcp_toolset` selects the tools and their permissions. The
 * URL may carry limits: `gantry:sessions?max_sessions=5&max_depth=1&max_budget_usd=2`.
 */
const PEER_SERVER = "gantry:sessions";

/** Limits on starting other sessions. */
export interface PeerLimits {
  /** Number of sessions that one session may start. */
  readonly maxSessions: number;
  /** Longest chain of sessions that wait for each other. */
  readonly maxDepth: number;
  /** Budget of each run that is started, in US dollars; null: only the session's own limit applies. */
  readonly maxBudgetUsd: number | null;
}

const whole = (max: number) => z.coerce.number().int().min(1).max(max);
const Limits = z.strictObject({
  max_sessions: whole(100).default(10),
  max_depth: whole(5).default(2),
  max_budget_usd: z.coerce.number().positive().nullable().default(null),
});

/** The limits in a server's URL; null for the URL of another server, `bad` for unknown or invalid limits. */
export function peerLimitsOf(url: string): PeerLimits | "bad" | null {
  const [server, query = ""] = url.split("?", 2);
  if (server !== PEER_SERVER) return null;
  const parsed = Limits.safeParse(Object.fromEntries(new URLSearchParams(query)));
  if (!parsed.success) return "bad";
  const { max_sessions, max_depth, max_budget_usd } = parsed.data;
  return { maxSessions: max_sessions, maxDepth: max_depth, maxBudgetUsd: max_budget_usd };
}

/** The server entry that gives an agent these tools, with its limits; null when it has none. */
export function peerServerOf(
  agent: AgentSetup | undefined,
): { server: AgentSetup["mcpServers"][number]; limits: PeerLimits } | null {
  for (const server of agent?.mcpServers ?? []) {
    const limits = peerLimitsOf(server.url);
    if (limits !== null && limits !== "bad") return { server, limits };
  }
  return null;
}

const message = z
  .string()
  .min(1)
  .max(400_000)
  .describe("The complete message. The other session knows nothing about this one.");
const session = z.string().describe("Id of the session: sesn_...");
const wait = z
  .boolean()
  .default(true)
  .describe("Whether to wait for the answer. If false, the call returns at once and read_session shows the outcome.");

/** Input schemas of the tools, by name. */
export const PEER_TOOLS = {
  start_session: z.strictObject({
    agent: z.string().describe("Id of the new session's agent: agent_..."),
    message,
    title: z.string().max(500).optional(),
    wait,
  }),
  message_session: z.strictObject({ session, message, wait }),
  read_session: z.strictObject({ session }),
} as const;

export const PeerTool = z.enum(["start_session", "message_session", "read_session"]);
export type PeerTool = z.infer<typeof PeerTool>;

/** Descriptions of the tools, for the agent. */
export const PEER_TOOL_HELP: Readonly<Record<PeerTool, string>> = {
  start_session: "Starts another session, with its own agent and its own sandbox, and gives it a task.",
  message_session: "Sends another message to a session of this account, continuing its conversation.",
  read_session: "Shows whether a session is running, with the last message to it and its last answer.",
};
