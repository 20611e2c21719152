/** Bindings and settings of the Worker. `wrangler.jsonc` provides them in the cloud, the launcher on one machine. */
export interface Env {
  /** Sessions. Reach one through `sessionOf` of `session/call/session-of.ts`, which knows its type. */
  readonly SESSION: DurableObjectNamespace;
  /** Tokens and money, one object per account. Reach one through `ledgerOf` of `accounts/ledger.ts`. */
  readonly LEDGER: DurableObjectNamespace;
  /** Idempotency keys and their stored answers, one object per account. Reach one through `repliesOf` of `accounts/replies.ts`. */
  readonly REPLIES: DurableObjectNamespace;
  /** The catalog: keys, agents, environments, files' metadata, the audit log. Read it through `storage/catalog.ts`. */
  readonly DB: D1Database;
  /** Contents of files. */
  readonly FILES: R2Bucket;
  /** Fetches from public addresses only. Bound on one machine; the cloud's network has that limit built in. */
  readonly PUBLIC_NET?: Fetcher;
  /** Reaches the same addresses as the global `fetch`, with one Worker less in between. Bound on one machine; see `net.ts`. */
  readonly DIRECT_NET?: Fetcher;
  /** Keys that encrypt secrets at rest: see `storage/seal.ts`. Without one, requests that carry a secret are refused. */
  readonly GANTRY_ENCRYPTION_KEY?: string;
  /** Hosts (with port) whose repositories are accepted although they are not public; comma-separated. */
  readonly GANTRY_TRUSTED_GIT_HOSTS?: string;
  /** Hosts of MCP servers (with port, comma-separated) that may be private, for sessions with vaults. */
  readonly GANTRY_TRUSTED_MCP_HOSTS?: string;
  /** Admin key of the installation. Without it, only the keys in the database work. */
  readonly GANTRY_API_KEY?: string;
  /** Permission mode for requests that name none. */
  readonly GANTRY_PERMISSION_MODE?: string;
  /** Default model. */
  readonly MODEL?: string;
  /** Text that replaces the bundled `litellm_config.yaml`. */
  readonly LITELLM_CONFIG_TEXT?: string;
  /** Text that replaces the bundled `triage.yaml`. */
  readonly TRIAGE_CONFIG_TEXT?: string;
  /** The database that triage sources read. It belongs to the operator; Gantry never writes to it. */
  readonly CONTEXT: D1Database;
  /** Host names that this server answers to besides IP addresses and localhost; comma-separated, `*` for any. */
  readonly GANTRY_ALLOWED_HOSTS?: string;
  /** Base URL to which engines send their model calls. */
  readonly MODELS_URL?: string;
  /** URL of the runner on this machine, and the token it accepts. */
  readonly RUNNER_URL?: string;
  readonly RUNNER_TOKEN?: string;
  /** Sandbox types by name. Read them through `sandbox/types.ts`. */
  readonly GANTRY_SANDBOX_TYPES?: unknown;
  /** Minutes that an idle container waits for the next prompt before it stops. */
  readonly GANTRY_SLEEP_AFTER?: string;
  /** Number of engines that the runner on this machine keeps started for new sessions; none by default. */
  readonly GANTRY_POOL?: string;
  /** Free disk space in bytes below which no work is accepted. */
  readonly GANTRY_MIN_FREE_BYTES?: string;
  /** US dollars that an account and a session may spend; no limit by default. */
  readonly GANTRY_ACCOUNT_BUDGET_USD?: string;
  readonly GANTRY_SESSION_BUDGET_USD?: string;
  /** Longest duration of a run, in minutes. */
  readonly GANTRY_RUN_MINUTES?: string;
  /** Names of files and folders that snapshots leave out at any depth of the workspace, comma-separated. */
  readonly GANTRY_SNAPSHOT_EXCLUDE?: string;
  /** How many snapshots of a session are kept. */
  readonly GANTRY_SNAPSHOT_KEEP?: string;
  /** Minutes between snapshots during a long run. */
  readonly GANTRY_SNAPSHOT_MINUTES?: string;
  /** Limits of a snapshot: bytes of one file, bytes in total, number of files and folders. */
  readonly GANTRY_SNAPSHOT_MAX_FILE_BYTES?: string;
  readonly GANTRY_SNAPSHOT_MAX_BYTES?: string;
  readonly GANTRY_SNAPSHOT_MAX_ENTRIES?: string;
  /** How strong the sandbox is, a `SandboxLevel`. Read it through `sandboxLevel` of `session/parts/sandbox.ts`. */
  readonly SANDBOX_LEVEL?: string;
}

/**
 * The Durable Object with a given name. The namespaces of `Env` are untyped, because typing them would make `env.ts`
 * import the whole Worker. The caller states the type, in one function per namespace.
 */
export function objectOf<T>(namespace: DurableObjectNamespace, name: string): Stub<T> {
  return namespace.get(namespace.idFromName(name)) as unknown as Stub<T>;
}

/** A remote object whose methods are those of `T`. */
export type Stub<T> = DurableObjectStub<T & Rpc.DurableObjectBranded>;
