import { spawn } from "node:child_process";
import type { RunStart } from "@gantry/protocol/link.ts";
import type { Mount } from "@gantry/protocol/mount.ts";
import { MARKER } from "../processes/processes.ts";
import { guarded } from "../base/guarded.ts";
import { gitEnvironment, gitSettings } from "./git-settings.ts";
import { ResourceUnavailable } from "./unavailable.ts";

export type Repository = Extract<Mount, { type: "repository" }>;

/**
 * Settings of the runner's own git. With them, no file of this machine or of the repository decides what git runs. It works
 * only on folders that no agent has seen yet; it must never be started in one that an agent could write to.
 */
const HARDENED: readonly (readonly [key: string, value: string])[] = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.askPass", ""],
  ["credential.helper", ""],
  ["protocol.allow", "never"],
  ["protocol.http.allow", "always"],
  ["protocol.https.allow", "always"],
  ["submodule.recurse", "false"],
  ["fetch.recurseSubmodules", "false"],
  // The Worker follows redirects itself, within the same host only.
  ["http.followRedirects", "false"],
  // Abort when a host stalls for a minute.
  ["http.lowSpeedLimit", "100"],
  ["http.lowSpeedTime", "60"],
];

export interface CloneArgs {
  readonly repository: Repository;
  /** A folder that does not exist yet. After a failure it may exist in part. */
  readonly folder: string;
  readonly models: RunStart["models"];
  /** PATH of git. */
  readonly path: string;
  readonly marker: string;
  readonly signal: AbortSignal;
  readonly onProgress: (phase: string, percent: number) => void;
}

/** Clones a repository and checks out the requested branch or commit. Throws `ResourceUnavailable` with git's message. */
export async function cloneRepository(args: CloneArgs): Promise<void> {
  const { repository, folder } = args;
  const { checkout, url } = repository;
  const branch = checkout?.type === "branch" ? ["--branch", checkout.name] : [];
  const only = checkout?.type === "commit" ? ["--no-checkout"] : [];
  await git(args, [
    "clone",
    "--progress",
    "--template=",
    "--no-recurse-submodules",
    ...branch,
    ...only,
    "--",
    url,
    folder,
  ]);
  if (checkout?.type !== "commit") return;
  const sha = checkout.sha.toLowerCase();
  // A commit that is on no branch must be fetched by its hash.
  const there = await git(args, ["-C", folder, "cat-file", "-e", `${sha}^{commit}`]).then(
    () => true,
    () => false,
  );
  if (!there) await git(args, ["-C", folder, "fetch", "--progress", "--no-recurse-submodules", "origin", sha], true);
  await git(args, ["-C", folder, "checkout", "--detach", sha], true);
}

async function git(args: CloneArgs, argv: readonly string[], isCheckout = false): Promise<void> {
  const settings = [...HARDENED, ...gitSettings([args.repository], args.models)];
  const child = spawn("git", argv, {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      PATH: args.path,
      HOME: "/nonexistent",
      LC_ALL: "C",
      [MARKER]: args.marker,
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_ATTR_NOSYSTEM: "1",
      GIT_TERMINAL_PROMPT: "0",
      GIT_ALLOW_PROTOCOL: "http:https",
      GIT_LFS_SKIP_SMUDGE: "1",
      ...gitEnvironment(settings),
    },
  });
  const stop = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has exited already.
    }
  };
  args.signal.addEventListener("abort", stop, { once: true });
  let said = "";
  const hear = (text: string): void => {
    const lines = `${said}${text}`.split(/\r|\n/);
    for (const line of lines) {
      const [, phase, percent] = /^(?:remote: )?([A-Z][\w ]{2,30}):\s+(\d{1,3})%/.exec(line) ?? [];
      if (phase !== undefined) args.onProgress(phase, Number(percent));
    }
    said = lines
      .filter((line) => !/\d%/.test(line))
      .join("\n")
      .slice(-4000);
  };
  child.stderr.setEncoding("utf8").on("data", guarded("git_stderr", hear));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  })
    .catch((error: NodeJS.ErrnoException) => {
      const why = error.code === "ENOENT" ? "git is not installed here" : error.message;
      throw unavailable(args.repository, "repository_clone_error", why);
    })
    .finally(() => args.signal.removeEventListener("abort", stop));
  if (code === 0) return;
  const { type, why } = explain(args, said, isCheckout);
  throw unavailable(args.repository, type, why);
}

type FailureType = ConstructorParameters<typeof ResourceUnavailable>[0];

function unavailable({ id, url }: Repository, type: FailureType, why: string): ResourceUnavailable {
  return new ResourceUnavailable(type, `The repository ${url} could not be cloned: ${why}`, {
    resource_id: id,
    repository_url: url,
  });
}

/** Turns git's error output into the type and the reason of the failure. */
function explain(
  { repository, models }: CloneArgs,
  said: string,
  isCheckout: boolean,
): { type: FailureType; why: string } {
  // Git names the Worker's address for the repository; the user knows the original one.
  const why =
    said
      .replaceAll(`${models.baseUrl}/sandbox/git/${repository.id}`, repository.url)
      .split("\n")
      .filter((line) => /^(fatal|error|remote): /.test(line))
      .join(" ")
      .slice(0, 1000) || "git failed.";
  if (/error: 401|Authentication failed|could not read Username/.test(said))
    return { type: "repository_authentication_error", why: "the host did not accept the credential." };
  if (/error: 403/.test(said)) return { type: "repository_forbidden_error", why: "the host refuses access." };
  if (/error: 404|repository '[^']*' not found/.test(said))
    return {
      type: "repository_not_found_error",
      why: "there is no such repository, or this credential has no access to it.",
    };
  if (
    isCheckout ||
    /Remote branch .* not found|did not match any|unable to read tree|reference is not a tree/.test(said)
  )
    return { type: "repository_checkout_error", why };
  return { type: "repository_clone_error", why };
}
