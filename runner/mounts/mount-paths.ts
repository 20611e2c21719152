import { lstat, mkdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { Stats } from "node:fs";
import type { SessionFolders } from "../folders/session-folders.ts";

/** The folder, as the API names it, where the agent leaves files for the user. */
export const OUTPUTS = "/mnt/session/outputs";

/** The path on disk of a path of the API (`/workspace/...`, `/mnt/...`), and the session folder it lies in. */
export function diskPathOf(folders: SessionFolders, path: string): { readonly root: string; readonly target: string } {
  const [, first, ...rest] = path.split("/");
  const root = first === "workspace" ? folders.workspace : folders.mnt;
  return { root, target: join(root, ...rest) };
}

/**
 * Creates the folders between `root` and `target`. It does not follow links that the agent may have made, because one could
 * lead out of its folder, and this process may write where the agent may not. Throws when something else is in the way.
 */
export async function makeParents(root: string, target: string): Promise<void> {
  let at = root;
  for (const name of relative(root, dirname(target)).split("/")) {
    if (name === "") continue;
    at = join(at, name);
    const found = await lstatOrNull(at);
    if (found === null) await mkdir(at, { mode: 0o755 });
    else if (!found.isDirectory()) throw new Error(`${at} is in the way: it is not a folder`);
  }
}

/** What is at a path, without following links; null when there is nothing. */
export async function lstatOrNull(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
