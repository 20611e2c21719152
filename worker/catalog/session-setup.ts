import type { EngineSetup } from "./agents/engine-setup.ts";

/** How a session was made: what its runs have in common, and what the API tells of it. */
export interface SessionSetup {
  /** The agent as it was at creation, in the API's shape, as JSON; null for a session without one. */
  readonly agent: string | null;
  readonly environmentId: string | null;
  /** Vaults whose credentials open the agent's MCP servers; absent: none. */
  readonly vaultIds?: readonly string[];
  readonly title: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** What the engine gets of the agent. */
  readonly engine: EngineSetup;
  /** Its environment is self-hosted: a worker carries out the tools (`worker/self-hosted/work.ts`). */
  readonly selfHosted?: boolean;
  /** Milliseconds without a prompt after which its engine is ended; the installation's own where it is not said. */
  readonly sleepAfterMs?: number;
  /** Milliseconds since 1970; null while it is not archived. */
  readonly archivedAt: number | null;
  readonly updatedAt: number;
}

/** A session that was made by a prompt alone. */
export const NO_SETUP: SessionSetup = {
  agent: null,
  environmentId: null,
  title: null,
  metadata: {},
  engine: {},
  archivedAt: null,
  updatedAt: 0,
};
