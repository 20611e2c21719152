import { chmodSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { textToPath } from "./paths.ts";

/** Where the files of a session are. */
export interface Place {
  /** The folder of everything but the workspace. */
  readonly base: string;
  readonly workspace: string;
}

/** One of many under `root`; with `workspace`, all of `root` is this session's. As `openFolders` has it. */
export function placeOf({
  root,
  sessionId,
  workspace,
}: {
  root: string;
  sessionId: string;
  workspace?: string;
}): Place {
  const base = workspace === undefined ? join(root, sessionId) : root;
  return { base, workspace: workspace ?? join(base, "workspace") };
}

/** The path on the disk of a path in a snapshot. */
export function onDisk(place: Place, path: string): string | Buffer {
  const inWorkspace = path === "workspace" || path.startsWith("workspace/");
  return textToPath(inWorkspace ? place.workspace + path.slice("workspace".length) : `${place.base}/${path}`);
}

/** Removes a folder with all that is in it, whatever the modes in it are. */
export async function removeFolder(path: string | Buffer): Promise<void> {
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 });
  try {
    await remove();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    openAll(Buffer.from(path));
    await remove();
  }
}

/** What is in a folder that nobody may write to can be removed by nobody. Follows no link. */
function openAll(folder: Buffer): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  chmodSync(folder, 0o700);
  for (const name of readdirSync(folder, { encoding: "buffer" }))
    openAll(Buffer.concat([folder, Buffer.from("/"), name]));
}

/** Makes sure of an empty folder. Itself it stays where it can: it may be where a disk is mounted. */
export async function emptyFolder(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    await removeFolder(path);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return;
  }
  for (const name of readdirSync(path, { encoding: "buffer" }))
    await removeFolder(Buffer.concat([Buffer.from(`${path}/`), name]));
}
