import { chmodSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { Buffer } from "node:buffer";

/** Removes a folder and everything in it, even where an agent took away the write permission. */
export async function removeFolder(path: string | Buffer): Promise<void> {
  const remove = (): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 });
  try {
    await remove();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    makeWritable(Buffer.from(path));
    await remove();
  }
}

/** Empties a folder, or creates it. The folder itself is kept where possible, because a disk may be mounted on it. */
export async function emptyFolder(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) {
    await removeFolder(path);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return;
  }
  for (const name of readdirSync(path, { encoding: "buffer" }))
    await removeFolder(Buffer.concat([Buffer.from(`${path}/`), name]));
}

/** Makes a folder and the folders in it writable, so that their contents can be removed. Follows no link. */
function makeWritable(folder: Buffer): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  chmodSync(folder, 0o700);
  for (const name of readdirSync(folder, { encoding: "buffer" }))
    makeWritable(Buffer.concat([folder, Buffer.from("/"), name]));
}
