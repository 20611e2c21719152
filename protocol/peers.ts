import { z } from "zod";
import type { AgentSetup } from "./agent-setup.ts";

/**
 * Sessions that start and message other sessions of their account. An agent has the tools for that when one of its
 * `mcp_servers` has the URL `gantry:sessions`; its `mcp_toolset` says, as for any server, which of them and who decides.
 * The URL carries the limits: `gantry:sessions?max_sessions=5&max_depth=1&max_budget_usd=2`.
 */
const PEER_SERVER = "gantry:sessions";

export interface PeerLimits {
  /** Sessions that one session may start. */
  readonly maxSessions: number;
  /** How many sessions may wait for each other in a row. */
  readonly maxDepth: number;
  /** What each run that is started may spend, in US dollars; null: what its session may. */
  readonly maxBudgetUsd: number | null;
}

const whole = (max: number) => z.coerce.number().int().min(1).max(max);
const Limits = z.strictObject({
  max_sessions: whole(100).default(10),
  max_depth: whole(5).default(2),
  max_budget_usd: z.coerce.number().positive().nullable().default(null),
});

/** The limits that the URL of a server sets; null when it is another server's, `bad` when it says something unknown. */
export function peerLimitsOf(url: string): PeerLimits | "bad" | null {
  const [server, query = ""] = url.split("?", 2);
  if (server !== PEER_SERVER) return null;
  const parsed = Limits.safeParse(Object.fromEntries(new URLSearchParams(query)));
  if (!parsed.success) return "bad";
  const { max_sessions, max_depth, max_budget_usd } = parsed.data;
  return { maxSessions: max_sessions, maxDepth: max_depth, maxBudgetUsd: max_budget_usd };
}

/** The server of an agent that has these tools, and its limits. */
export function peerServerOf(
  agent: AgentSetup | undefined,
): { server: AgentSetup["mcpServers"][number]; limits: PeerLimits } | null {
  for (const server of agent?.mcpServers ?? []) {
    const limits = peerLimitsOf(server.url);
    if (limits !== null && limits !== "bad") return { server, limits };
  }
  return null;
}

const message = z.string().min(1).max(400_000).describe("What it is told, in full: it knows nothing of this session.");
const session = z.string().describe("Id of the session, sesn_...");
const wait = z
  .boolean()
  .default(true)
  .describe("Whether to wait for the answer. Otherwise the call returns at once; read_session shows how it went.");

/** Inputs of the tools, by name. */
export const PEER_TOOLS = {
  start_session: z.strictObject({
    agent: z.string().describe("Id of the agent the new session is to have, agent_..."),
    message,
    title: z.string().max(500).optional(),
    wait,
  }),
  message_session: z.strictObject({ session, message, wait }),
  read_session: z.strictObject({ session }),
} as const;

export const PeerTool = z.enum(["start_session", "message_session", "read_session"]);
export type PeerTool = z.infer<typeof PeerTool>;

/** What the agent reads about each. */
export const PEER_TOOL_HELP: Readonly<Record<PeerTool, string>> = {
  start_session: "Starts another session with an agent of its own, on a sandbox of its own, and gives it a task.",
  message_session: "Gives a session of this account another message, in the conversation it has.",
  read_session: "Shows whether a session is at work, and what it was told and said last.",
};
