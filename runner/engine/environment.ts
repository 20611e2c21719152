import type { Mount, RunStart } from "@gantry/protocol/link.ts";
import { gitEnvironment, gitSettings } from "../mounts/git-settings.ts";

/** Folders of one session on this machine. */
export interface SessionFolders {
  /** The agent's working directory. */
  readonly workspace: string;
  /** Its HOME: private, so that nothing of the machine's user is configuration. */
  readonly home: string;
  /** The engine's own state, with the transcript. */
  readonly config: string;
  readonly tmp: string;
  /** What the API calls `/mnt`: uploads that are mounted, and what the agent leaves for the user. */
  readonly mnt: string;
}

/** Name of the variable by which every process of a session is found again, however it detached itself. */
export const MARKER = "GANTRY_SANDBOX";

/** Tools for models that are not Claude: the ones every model can use, without Claude-only machinery. */
const LEAN_TOOLS = [
  "Agent",
  "Bash",
  "Read",
  "Edit",
  "Write",
  "Grep",
  "Glob",
  "TaskCreate",
  "TaskUpdate",
  "TaskList",
  "TaskGet",
];

/** Window assumed where nobody said: too large a guess and the engine never compacts in time. */
const DEFAULT_CONTEXT_TOKENS = 131_072;

/** Where programs look for certificates: OpenSSL and most others, Node, curl, git, Python's requests and pip, Cargo. */
const CA_VARIABLES = [
  "SSL_CERT_FILE",
  "NODE_EXTRA_CA_CERTS",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
  "REQUESTS_CA_BUNDLE",
  "PIP_CERT",
  "CARGO_HTTP_CAINFO",
];

/**
 * Name for the engine: `anthropic/claude-x` is `claude-x` to it, so that it uses what it knows of that model.
 * Every other name goes out verbatim; the router knows both spellings.
 */
export function engineModel(model: string): string {
  return model.startsWith("anthropic/claude-") ? model.slice("anthropic/".length) : model;
}

/** Whether the engine knows this model's abilities by itself. */
export function isClaude(model: string): boolean {
  return engineModel(model).startsWith("claude-");
}

/** The built-in tools to name to the engine, or undefined for its own choice. */
export function engineTools(model: string): string[] | undefined {
  return isClaude(model) ? undefined : LEAN_TOOLS;
}

/**
 * The engine's whole environment, built from nothing: it inherits no variable of the runner, so no key can come along.
 * Each line has a measured reason.
 */
export function engineEnvironment(args: {
  readonly folders: SessionFolders;
  readonly models: RunStart["models"];
  readonly mounts: readonly Mount[];
  readonly model: string;
  readonly marker: string;
  readonly path: string;
  /** Certificates to trust instead of the system's. */
  readonly caFile?: string | undefined;
  readonly isRoot: boolean;
}): Record<string, string> {
  const { folders, models } = args;
  const lean: Record<string, string> = {
    CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS: "1",
    ENABLE_TOOL_SEARCH: "false",
    CLAUDE_CODE_ATTRIBUTION_HEADER: "0",
    CLAUDE_CODE_MAX_OUTPUT_TOKENS: "8192",
    CLAUDE_CODE_MAX_CONTEXT_TOKENS: String(models.contextTokens ?? DEFAULT_CONTEXT_TOKENS),
  };
  return {
    PATH: args.path,
    HOME: folders.home,
    TMPDIR: folders.tmp,
    LANG: "C.UTF-8",
    TERM: "dumb",
    SHELL: "/bin/bash",
    [MARKER]: args.marker,
    CLAUDE_CONFIG_DIR: folders.config,
    ANTHROPIC_BASE_URL: models.baseUrl,
    ANTHROPIC_AUTH_TOKEN: models.token,
    // Otherwise each new session costs one more model request and half a second.
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    // The router owns retries; the engine's own default is ten over three minutes.
    CLAUDE_CODE_MAX_RETRIES: "2",
    API_TIMEOUT_MS: "120000",
    // A client's own tool may take hours to be answered; the engine's limits are minutes.
    MCP_TOOL_TIMEOUT: "86400000",
    CLAUDE_CODE_STREAM_CLOSE_TIMEOUT: "86400000",
    ...(args.caFile ? Object.fromEntries(CA_VARIABLES.map((name) => [name, args.caFile ?? ""])) : {}),
    // The agent's git reaches the session's repositories through the Worker.
    ...gitEnvironment(gitSettings(args.mounts, models)),
    // Bypassing permissions as root is refused without it.
    ...(args.isRoot ? { IS_SANDBOX: "1" } : {}),
    ...(isClaude(args.model) ? {} : lean),
  };
}
