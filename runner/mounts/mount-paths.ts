import { lstat, mkdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Stats } from "node:fs";
import type { SessionFolders } from "../engine/environment.ts";

/** Where a path of the API (`/workspace/...`, `/mnt/...`) lies on this machine. */
export function placeOf(folders: SessionFolders, path: string): { readonly root: string; readonly place: string } {
  const [, first, ...rest] = path.split("/");
  const root = first === "workspace" ? folders.workspace : folders.mnt;
  return { root, place: join(root, ...rest) };
}

/**
 * Makes the folders on the way to a place. What an agent put there is not followed: a link on the way would lead out of
 * its folder, with our rights.
 */
export async function makeParents(root: string, place: string): Promise<void> {
  let at = root;
  for (const name of relative(root, dirname(place)).split("/")) {
    if (name === "") continue;
    at = join(at, name);
    const there = await look(at);
    if (there === null) await mkdir(at, { mode: 0o755 });
    else if (!there.isDirectory()) throw new Error(`${at} is in the way: it is no folder`);
  }
}

/** What lies there, links not followed; null: nothing. */
export async function look(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
