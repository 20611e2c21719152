/** Bindings and settings of the Worker: `wrangler.jsonc`, and on one machine the launcher. */
export interface Env {
  /** Sessions. Reach one through `sessionOf` of `session/call/session-of.ts`, which knows its type. */
  readonly SESSION: DurableObjectNamespace;
  /** Tokens and money, one object per account: `ledgerOf` of `accounts/ledger.ts`. */
  readonly LEDGER: DurableObjectNamespace;
  /** Idempotency keys and the answers stored for them, one object per account: `repliesOf` of `accounts/replies.ts`. */
  readonly REPLIES: DurableObjectNamespace;
  /** The catalog: keys, agents, environments, files' metadata, the audit log. Read it through `storage/catalog.ts`. */
  readonly DB: D1Database;
  /** Contents of files. */
  readonly FILES: R2Bucket;
  /** Reaches public addresses only. On one machine; in the cloud the network itself is like that. */
  readonly PUBLIC_NET?: Fetcher;
  /** Reaches what the global `fetch` does, with one Worker less in the way. On one machine; see `net.ts`. */
  readonly DIRECT_NET?: Fetcher;
  /** Keys that seal secrets at rest: see `storage/seal.ts`. Without one no secret is taken. */
  readonly GANTRY_ENCRYPTION_KEY?: string;
  /** Hosts (with port) of repositories that are taken although they are not public; comma-separated. */
  readonly GANTRY_TRUSTED_GIT_HOSTS?: string;
  /** Hosts of MCP servers (with port, comma-separated) that may be private, for sessions with vaults. */
  readonly GANTRY_TRUSTED_MCP_HOSTS?: string;
  /** Admin key. Without one only keys that were made earlier are taken. */
  readonly GANTRY_API_KEY?: string;
  /** For requests that name no permission mode. */
  readonly GANTRY_PERMISSION_MODE?: string;
  /** Default model. */
  readonly MODEL?: string;
  /** Text of `litellm_config.yaml` in place of the bundled one. */
  readonly LITELLM_CONFIG_TEXT?: string;
  /** Text of `triage.yaml` in place of the bundled one. */
  readonly TRIAGE_CONFIG_TEXT?: string;
  /** The database that triage's sources read; of whoever runs this, not ours. */
  readonly CONTEXT: D1Database;
  /** Host names, beside IP addresses and localhost, that this server answers to; comma-separated, `*` for any. */
  readonly GANTRY_ALLOWED_HOSTS?: string;
  /** Where engines send their model calls. */
  readonly MODELS_URL?: string;
  /** The runner on this machine, and what opens it. */
  readonly RUNNER_URL?: string;
  readonly RUNNER_TOKEN?: string;
  /** Types of sandbox to choose between, by name: read them by `sandbox/types.ts`. */
  readonly GANTRY_SANDBOX_TYPES?: unknown;
  /** Minutes that a container waits for the next prompt. */
  readonly GANTRY_SLEEP_AFTER?: string;
  /** Engines that the runner on this machine keeps started for new sessions; none without. */
  readonly GANTRY_POOL?: string;
  /** Free bytes below which nothing is accepted. */
  readonly GANTRY_MIN_FREE_BYTES?: string;
  /** US dollars that an account, and that a session, may spend; no limit without. */
  readonly GANTRY_ACCOUNT_BUDGET_USD?: string;
  readonly GANTRY_SESSION_BUDGET_USD?: string;
  /** Longest time a run may take, in minutes. */
  readonly GANTRY_RUN_MINUTES?: string;
  /** Names that are left out of snapshots wherever they stand in the workspace, comma-separated. */
  readonly GANTRY_SNAPSHOT_EXCLUDE?: string;
  /** How many snapshots of a session are kept. */
  readonly GANTRY_SNAPSHOT_KEEP?: string;
  /** Minutes between snapshots in a long run. */
  readonly GANTRY_SNAPSHOT_MINUTES?: string;
  /** Largest file that is saved, most bytes and most files and folders of a snapshot. */
  readonly GANTRY_SNAPSHOT_MAX_FILE_BYTES?: string;
  readonly GANTRY_SNAPSHOT_MAX_BYTES?: string;
  readonly GANTRY_SNAPSHOT_MAX_ENTRIES?: string;
  /** How far the sandbox holds, a `SandboxLevel`: read it by `sandboxLevel` of `sandbox/of-session.ts`. */
  readonly SANDBOX_LEVEL?: string;
}

/**
 * The object of a name. The namespaces of `Env` are untyped, or `env.ts` would import the whole Worker; the caller states
 * the type, once per namespace.
 */
export function objectOf<T>(namespace: DurableObjectNamespace, name: string): Stub<T> {
  return namespace.get(namespace.idFromName(name)) as unknown as Stub<T>;
}

/** A remote object with the methods of `T`. */
export type Stub<T> = DurableObjectStub<T & Rpc.DurableObjectBranded>;
