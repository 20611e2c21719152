import type { EngineSetup } from "./agents/engine-setup.ts";

/** How a session was created: what its runs have in common, and what the API shows of it. */
export interface SessionSetup {
  /** JSON of the agent at creation, in the API's shape; null for a session without an agent. */
  readonly agent: string | null;
  readonly environmentId: string | null;
  /** Vaults whose credentials open the agent's MCP servers; absent: none. */
  readonly vaultIds?: readonly string[];
  readonly title: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** The part of the agent that the engine gets. */
  readonly engine: EngineSetup;
  /** The environment is self-hosted: an external worker runs the tools (`worker/self-hosted/work.ts`). */
  readonly selfHosted?: boolean;
  /** Milliseconds without a prompt after which the engine is ended; absent: the installation's setting. */
  readonly sleepAfterMs?: number;
  /** Milliseconds since 1970, as is `updatedAt`; null while the session is not archived. */
  readonly archivedAt: number | null;
  readonly updatedAt: number;
}

/** The setup of a session that a prompt created without an agent. */
export const NO_SETUP: SessionSetup = {
  agent: null,
  environmentId: null,
  title: null,
  metadata: {},
  engine: {},
  archivedAt: null,
  updatedAt: 0,
};
