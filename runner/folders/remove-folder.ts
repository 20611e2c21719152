import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { chmod, lstat, mkdir, open, opendir, rename, rmdir, unlink } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { join } from "node:path";

/**
 * Removes what an agent made. Its folders may be nested deeper than a path can be long, hold millions of names, and deny
 * access. So each folder is first moved flat into a folder of ours (the trash), where its path is short; nothing recurses,
 * no link is followed, and an interrupted removal continues with what lies in the trash.
 */

/**
 * Removes a folder, or whatever is there, and everything in it.
 *
 * @param trash a folder of ours on the same disk; it is created if needed.
 */
export async function removeFolder(path: string | Buffer, trash: string): Promise<void> {
  const moved = await moveToTrash(path, trash);
  if (moved !== null) await removeMoved(moved, trash);
}

/** Moves a folder into the trash. Returns its new path; null when there was nothing. */
export async function moveToTrash(path: string | Buffer, trash: string): Promise<string | null> {
  await mkdir(trash, { recursive: true, mode: 0o700 });
  const to = join(trash, randomUUID());
  try {
    await withAccess(path, () => rename(path, to));
    return to;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** Removes what lies in the trash under this path, and everything in it. */
export async function removeMoved(path: string, trash: string): Promise<void> {
  const pending = [path];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (!(await lstat(at)).isDirectory()) {
      await unlink(at);
      continue;
    }
    for (let round = 1; ; round++) {
      await emptyInto(at, trash, pending);
      try {
        await rmdir(at);
        break;
      } catch (error) {
        // A process that is still alive writes into it.
        if (codeOf(error) !== "ENOTEMPTY" || round >= MAX_ROUNDS) throw error;
      }
    }
  }
}

const MAX_ROUNDS = 5;

/** Empties a folder, or creates it. The folder itself is kept where possible, because a disk may be mounted on it. */
export async function emptyFolder(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found && !found.isDirectory()) await unlink(path);
  await mkdir(path, { recursive: true, mode: 0o700 });
  const trash = join(path, `.${randomUUID()}`);
  await mkdir(trash, { mode: 0o700 });
  const pending: string[] = [];
  await emptyInto(path, trash, pending, trash);
  for (const folder of pending) await removeMoved(folder, trash);
  await rmdir(trash);
}

/** Removes the files of a folder, and moves its folders into the trash and onto the list. */
async function emptyInto(folder: string, trash: string, pending: string[], except?: string): Promise<void> {
  const entries = await withAccess(folder, () => opendir(folder, { encoding: "buffer" as BufferEncoding }));
  for await (const entry of entries) {
    const child = Buffer.concat([Buffer.from(`${folder}/`), entry.name as unknown as Buffer]);
    if (except !== undefined && child.equals(Buffer.from(except))) continue;
    try {
      if (!entry.isDirectory()) await withAccess(folder, () => unlink(child));
      else if (!(await isRemoved(child))) {
        const moved = await moveToTrash(child, trash);
        if (moved !== null) pending.push(moved);
      }
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }
}

/** Removes a folder if it is empty. */
function isRemoved(folder: Buffer): Promise<boolean> {
  return rmdir(folder).then(
    () => true,
    () => false,
  );
}

/** Does something that needs access to a folder; takes the access back where the agent removed it. */
async function withAccess<T>(folder: string | Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error;
    await takeAccess(folder);
    return await work();
  }
}

async function takeAccess(folder: string | Buffer): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const handle = await open(folder, flags).catch(() => null);
  // A folder that cannot be read cannot be opened either; its name is the only way to it.
  if (!handle) return (await lstat(folder)).isDirectory() ? chmod(folder, 0o700) : undefined;
  try {
    await handle.chmod(0o700);
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
