import type { RunStart } from "@gantry/protocol/link.ts";
import type { Mount } from "@gantry/protocol/mount.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import { gitEnvironment, gitSettings } from "../mounts/git-settings.ts";
import { MARKER } from "../processes/processes.ts";

/** Tools for models other than Claude: those that every model can use, without Claude-only machinery. */
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

/** Context window, in tokens, of a model whose window is unknown. If it is too large, the engine compacts too late. */
const DEFAULT_CONTEXT_TOKENS = 131_072;

/** Variables that name the certificate file: for OpenSSL and most programs, Node, curl, git, Python's requests, pip, Cargo. */
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
 * The model's name for the engine: `anthropic/claude-x` becomes `claude-x`, so that the engine recognizes the model.
 * Every other name is passed on as it is; the router knows both spellings.
 */
export function engineModel(model: string): string {
  return model.startsWith("anthropic/claude-") ? model.slice("anthropic/".length) : model;
}

/** Whether the engine knows this model's abilities. */
export function isClaude(model: string): boolean {
  return engineModel(model).startsWith("claude-");
}

/** The built-in tools to offer, or undefined for the engine's own choice. */
export function engineTools(model: string): string[] | undefined {
  return isClaude(model) ? undefined : LEAN_TOOLS;
}

/**
 * The engine's whole environment. It inherits no variable of the runner, so no key can leak into it. Each line has a measured
 * reason.
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
    // Without it each new session costs one more model request and half a second.
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    // The router does the retries. The engine's default is ten over three minutes.
    CLAUDE_CODE_MAX_RETRIES: "2",
    API_TIMEOUT_MS: "120000",
    // A client may take hours to answer its custom tool; the engine's default limits are minutes.
    MCP_TOOL_TIMEOUT: "86400000",
    CLAUDE_CODE_STREAM_CLOSE_TIMEOUT: "86400000",
    ...(args.caFile ? Object.fromEntries(CA_VARIABLES.map((name) => [name, args.caFile ?? ""])) : {}),
    // The agent's git reaches the session's repositories through the Worker.
    ...gitEnvironment(gitSettings(args.mounts, models)),
    // Without it the engine refuses to bypass permissions as root.
    ...(args.isRoot ? { IS_SANDBOX: "1" } : {}),
    ...(isClaude(args.model) ? {} : lean),
  };
}
