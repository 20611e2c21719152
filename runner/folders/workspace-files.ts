import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { isSavedPath } from "@gantry/protocol/snapshot.ts";

/**
 * Changes to single files of a session's workspace that are made from outside. The agent may have put a link anywhere;
 * none is followed.
 */

/** Longest name of a file or folder, as file systems have it. */
const MAX_NAME_BYTES = 255;

/** A change that cannot be made. `status` is the HTTP status that describes why. */
export class FileRefused extends Error {
  readonly status: 400 | 404 | 409 | 413;
  constructor(status: FileRefused["status"], message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Writes a file and returns its size in bytes; missing folders are created. The contents are written to another file
 * first and renamed, so a reader sees either the old contents or the new. Throws `FileRefused`.
 */
export async function writeFile(
  workspace: string,
  path: string,
  contents: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<number> {
  const target = resolvePath(workspace, path, true);
  if (existsSync(target) && lstatSync(target).isDirectory()) throw new FileRefused(409, `${path} is a folder.`);
  const staged = join(dirname(target), `.${randomUUID()}.part`);
  const fd = openSync(staged, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644);
  let size = 0;
  try {
    for await (const piece of contents) {
      if (size + piece.length > maxBytes) throw new FileRefused(413, `A file may have at most ${maxBytes} bytes.`);
      for (let at = 0; at < piece.length;) at += writeSync(fd, piece, at);
      size += piece.length;
    }
    fsyncSync(fd);
    renameSync(staged, target);
    return size;
  } catch (error) {
    rmSync(staged, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Removes a file, a link, or a folder with everything in it. Throws `FileRefused`. */
export function removeFile(workspace: string, path: string): void {
  const target = resolvePath(workspace, path, false);
  try {
    lstatSync(target);
  } catch {
    throw new FileRefused(404, `There is no ${path}.`);
  }
  rmSync(target, { recursive: true, maxRetries: 3 });
}

/** The path on disk of a path in the workspace, after checking that every folder on the way is a folder and not a link. */
function resolvePath(workspace: string, path: string, make: boolean): string {
  if (!isSavedPath(`workspace/${path}`)) throw new FileRefused(400, "is not a path below the workspace");
  const steps = path.split("/");
  if (steps.some((step) => Buffer.byteLength(step) > MAX_NAME_BYTES))
    throw new FileRefused(400, `a name may have at most ${MAX_NAME_BYTES} bytes`);
  let folder = workspace;
  for (const step of steps.slice(0, -1)) {
    folder = join(folder, step);
    let kind;
    try {
      kind = lstatSync(folder);
    } catch {
      if (!make) throw new FileRefused(404, `There is no ${path}.`);
      mkdirSync(folder, 0o755);
      continue;
    }
    if (!kind.isDirectory()) throw new FileRefused(409, `A part of ${path} is not a folder.`);
  }
  return join(folder, steps.at(-1) ?? "");
}
