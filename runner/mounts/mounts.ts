import { existsSync } from "node:fs";
import { chmod, readFile, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { MountPath } from "@gantry/protocol/mount.ts";
import type { Mount } from "@gantry/protocol/mount.ts";
import type { RunStart } from "@gantry/protocol/link.ts";
import { z } from "zod";
import type { SessionFolders } from "../folders/session-folders.ts";
import { cloneRepository } from "./git.ts";
import { OUTPUTS, diskPathOf, lstatOrNull, makeParents } from "./mount-paths.ts";
import { ResourceUnavailable } from "./unavailable.ts";
import type { WorkerClient } from "./worker-client.ts";

/** Least time between two progress events of a clone. */
const PROGRESS_MS = 2_000;

/** What was mounted, by resource id. The file lies beside the engine's state, and its contents are checked against the disk. */
const MountRecord = z.record(z.string(), z.object({ type: z.enum(["file", "repository"]), path: MountPath }));
type Mounted = z.infer<typeof MountRecord>;

export interface MountArgs {
  readonly mounts: readonly Mount[];
  readonly folders: SessionFolders;
  readonly models: RunStart["models"];
  readonly worker: WorkerClient;
  /** PATH of git. */
  readonly path: string;
  readonly marker: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunnerEvent) => void;
}

/**
 * Mounts what is missing, and removes files that are no longer mounted. Called before each run: existing mounts stay as they
 * are, and a session that was restored on another machine gets back what its snapshot does not contain. Returns whether
 * anything changed. Throws `ResourceUnavailable`.
 */
export async function ensureMounts(args: MountArgs): Promise<boolean> {
  const { mounts, folders } = args;
  const file = join(folders.config, "mounted.json");
  // Most sessions have no mounts, and this is on the path of each of their prompts.
  if (mounts.length === 0 && !existsSync(file)) return false;
  const before = await readRecord(file);
  let changed = await removeOthers(before, args);
  const after: Mounted = {};
  // Repositories first, because a file may be mounted inside one.
  for (const mount of mounts.toSorted((a, b) => Number(a.type === "file") - Number(b.type === "file"))) {
    const wasMounted = before[mount.id]?.path === mount.path;
    if (await ensureMount(mount, wasMounted, args)) changed = true;
    after[mount.id] = { type: mount.type, path: mount.path };
    await writeFile(file, JSON.stringify({ ...before, ...after }), { mode: 0o600 });
  }
  if (changed) await writeFile(file, JSON.stringify(after), { mode: 0o600 });
  return changed;
}

async function readRecord(file: string): Promise<Mounted> {
  try {
    return MountRecord.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return {};
  }
}

/** Removes files whose resource was removed. A repository's folder stays, because it may contain the agent's work. */
async function removeOthers(before: Mounted, { mounts, folders }: MountArgs): Promise<boolean> {
  let removed = false;
  for (const [id, { type, path }] of Object.entries(before)) {
    if (mounts.some((mount) => mount.id === id)) continue;
    removed = true;
    const { root, target } = diskPathOf(folders, path);
    const isLink = await hasLinkAbove(root, target);
    if (type === "file" && !isLink && (await lstatOrNull(target))?.isFile()) await rm(target, { force: true });
  }
  return removed;
}

/** Whether a folder between `root` and `target` is a link, or missing. */
async function hasLinkAbove(root: string, target: string): Promise<boolean> {
  for (let at = dirname(target); at.length > root.length; at = dirname(at))
    if (!(await lstatOrNull(at))?.isDirectory()) return true;
  return false;
}

/** Mounts one resource. Returns false when it was there already. Throws `ResourceUnavailable`. */
async function ensureMount(mount: Mount, wasMounted: boolean, args: MountArgs): Promise<boolean> {
  const { root, target } = diskPathOf(args.folders, mount.path);
  const about = {
    resource_id: mount.id,
    ...(mount.type === "repository" ? { repository_url: mount.url } : {}),
  };
  const kind = mount.type === "file" ? "unknown_error" : "repository_clone_error";
  try {
    await makeParents(root, target);
    const found = await lstatOrNull(target);
    if (found !== null) {
      // The agent may have changed it since it was mounted; that is its right.
      if (wasMounted) return false;
      if (mount.type === "file" && found.isFile() && found.size === mount.size) return false;
      if (mount.type === "repository" && found.isDirectory() && (await lstatOrNull(join(target, ".git")))) return false;
      if (!found.isDirectory() || (await readdir(target)).length > 0)
        throw new ResourceUnavailable(kind, `${mount.path} could not be mounted: something else is there.`, about);
      await rmdir(target);
    }
    const staging = join(dirname(target), `.mounting-${mount.id}`);
    await rm(staging, { recursive: true, force: true });
    try {
      if (mount.type === "file") await args.worker.download(mount.fileId, staging, args.signal);
      else await clone(mount, staging, args);
      // Read-only, as in Managed Agents. An agent that wants to change the file works on a copy.
      if (mount.type === "file") await chmod(staging, 0o444);
      await rename(staging, target);
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  } catch (error) {
    if (error instanceof ResourceUnavailable) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new ResourceUnavailable(kind, `${mount.path} could not be mounted: ${why}.`, about);
  }
  args.onEvent({ type: "resource.mounted", resource_id: mount.id, mount_path: mount.path });
  return true;
}

async function clone(
  repository: Extract<Mount, { type: "repository" }>,
  folder: string,
  args: MountArgs,
): Promise<void> {
  const { id, path: mount_path } = repository;
  const report = (phase: string, percent: number | null): void =>
    args.onEvent({ type: "resource.mounting", resource_id: id, mount_path, phase, percent });
  report("Cloning", null);
  let reportedAt = Date.now();
  await cloneRepository({
    ...args,
    repository,
    folder,
    onProgress: (phase, percent) => {
      if (Date.now() - reportedAt < PROGRESS_MS) return;
      reportedAt = Date.now();
      report(phase, percent);
    },
  });
}

/** Text for the model: what is mounted where, and where it may leave files for the user. */
export function describeMounts(mounts: readonly Mount[], folders: SessionFolders): string {
  const lines = mounts.map((mount) => {
    const { target } = diskPathOf(folders, mount.path);
    return mount.type === "file"
      ? `- ${target}: the file ${JSON.stringify(mount.filename)}, read-only`
      : `- ${target}: a clone of ${mount.url}${mount.checkout === null ? "" : ` at ${mount.checkout.type === "branch" ? mount.checkout.name : mount.checkout.sha}`}`;
  });
  const mounted = lines.length === 0 ? [] : ["These are mounted for this session:", ...lines];
  return [...mounted, `Files that you leave in ${diskPathOf(folders, OUTPUTS).target} are given to the user.`].join(
    "\n",
  );
}
