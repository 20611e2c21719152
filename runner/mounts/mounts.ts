import { existsSync } from "node:fs";
import { chmod, readFile, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { MountPath } from "@gantry/protocol/api/resources.ts";
import type { Mount, RunStart } from "@gantry/protocol/link.ts";
import { z } from "zod";
import type { SessionFolders } from "../engine/environment.ts";
import { cloneRepository } from "./git.ts";
import { look, makeParents, placeOf } from "./mount-paths.ts";
import { ResourceUnavailable } from "./unavailable.ts";
import type { WorkerClient } from "./worker-client.ts";

/** Between two events that tell how far a clone is. */
const PROGRESS_MS = 2_000;

/** What was put in its place, by resource. Lies beside the engine's state; what it says is checked against the disk. */
const MountRecord = z.record(z.string(), z.object({ type: z.enum(["file", "repository"]), path: MountPath }));
type Mounted = z.infer<typeof MountRecord>;

export interface MountArgs {
  readonly mounts: readonly Mount[];
  readonly folders: SessionFolders;
  readonly models: RunStart["models"];
  readonly worker: WorkerClient;
  readonly path: string;
  readonly marker: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunnerEvent) => void;
}

/**
 * Puts in place what is missing, and takes away files that are mounted no longer. Called before each run: what is there
 * stays as it is, so a session that was restored elsewhere gets back what its snapshot does not hold. Returns whether
 * anything changed. Throws `ResourceUnavailable`.
 */
export async function ensureMounts(args: MountArgs): Promise<boolean> {
  const { mounts, folders } = args;
  const file = join(folders.config, "mounted.json");
  // Most sessions have none, and each of their prompts comes by here.
  if (mounts.length === 0 && !existsSync(file)) return false;
  const before = await readRecord(file);
  let changed = await removeOthers(before, args);
  const after: Mounted = {};
  // Repositories first: a file may lie in one.
  for (const mount of mounts.toSorted((a, b) => Number(a.type === "file") - Number(b.type === "file"))) {
    const wasMounted = before[mount.id]?.path === mount.path;
    if (await putInPlace(mount, wasMounted, args)) changed = true;
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

/** Files of resources that are gone go too; a repository's folder stays, because there is work in it. */
async function removeOthers(before: Mounted, { mounts, folders }: MountArgs): Promise<boolean> {
  let removed = false;
  for (const [id, { type, path }] of Object.entries(before)) {
    if (mounts.some((mount) => mount.id === id)) continue;
    removed = true;
    const { root, place } = placeOf(folders, path);
    const isLink = await throughLink(root, place);
    if (type === "file" && !isLink && (await look(place))?.isFile()) await rm(place, { force: true });
  }
  return removed;
}

async function throughLink(root: string, place: string): Promise<boolean> {
  for (let at = dirname(place); at.length > root.length; at = dirname(at))
    if (!(await look(at))?.isDirectory()) return true;
  return false;
}

/** Returns whether it had to be done. */
async function putInPlace(mount: Mount, wasMounted: boolean, args: MountArgs): Promise<boolean> {
  const { root, place } = placeOf(args.folders, mount.path);
  const about = {
    resource_id: mount.id,
    ...(mount.type === "repository" ? { repository_url: mount.url } : {}),
  };
  const kind = mount.type === "file" ? "unknown_error" : "repository_clone_error";
  try {
    await makeParents(root, place);
    const there = await look(place);
    if (there !== null) {
      // As we left it, or as the agent wants it since.
      if (wasMounted) return false;
      if (mount.type === "file" && there.isFile() && there.size === mount.size) return false;
      if (mount.type === "repository" && there.isDirectory() && (await look(join(place, ".git")))) return false;
      if (!there.isDirectory() || (await readdir(place)).length > 0)
        throw new ResourceUnavailable(kind, `${mount.path} could not be mounted: something else is there.`, about);
      await rmdir(place);
    }
    const staging = join(dirname(place), `.mounting-${mount.id}`);
    await rm(staging, { recursive: true, force: true });
    try {
      if (mount.type === "file") await args.worker.download(mount.fileId, staging, args.signal);
      else await clone(mount, staging, args);
      // Read-only, as in Managed Agents: who wants to change it works on a copy.
      if (mount.type === "file") await chmod(staging, 0o444);
      await rename(staging, place);
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
  const tell = (phase: string, percent: number | null): void =>
    args.onEvent({ type: "resource.mounting", resource_id: id, mount_path, phase, percent });
  tell("Cloning", null);
  let told = Date.now();
  await cloneRepository({
    ...args,
    repository,
    folder,
    onProgress: (phase, percent) => {
      if (Date.now() - told < PROGRESS_MS) return;
      told = Date.now();
      tell(phase, percent);
    },
  });
}

/** What the agent has to know of what is mounted, and of where it may leave files. */
export function describeMounts(mounts: readonly Mount[], folders: SessionFolders): string {
  const lines = mounts.map((mount) => {
    const { place } = placeOf(folders, mount.path);
    return mount.type === "file"
      ? `- ${place}: the file ${JSON.stringify(mount.filename)}, read-only`
      : `- ${place}: a clone of ${mount.url}${mount.checkout === null ? "" : ` at ${mount.checkout.type === "branch" ? mount.checkout.name : mount.checkout.sha}`}`;
  });
  const mounted = lines.length === 0 ? [] : ["These are mounted for this session:", ...lines];
  return [...mounted, `Files that you leave in ${placeOf(folders, OUTPUTS).place} are given to the user.`].join("\n");
}

/** Where the agent leaves what it made. */
export const OUTPUTS = "/mnt/session/outputs";
