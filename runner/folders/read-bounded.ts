import { constants, opendirSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { join } from "node:path";

/**
 * Reads from folders that an agent writes. The agent may have put a link, a pipe or a file of any size anywhere, and every
 * session waits while this process reads, so all reads here have a limit.
 */

/** Neither follows a link nor waits for the other end of a pipe. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The end of a text file. */
export interface Tail {
  /** Whole lines, except that the first may be cut. */
  readonly text: string;
  /** Offset in bytes at which `text` begins; 0 when it is the whole file. */
  readonly at: number;
}

/**
 * Reads the end of a regular file: at most `maxBytes` and `maxLines`, beginning after a line break unless it is the whole
 * file. Rejects when there is no regular file.
 */
export async function readTail(path: string, maxBytes: number, maxLines: number): Promise<Tail> {
  return withFile(path, async (file, size) => {
    const bytes = await readAt(file, Math.max(0, size - maxBytes), Math.min(size, maxBytes));
    let from = 0;
    let lines = 0;
    for (let end = bytes.lastIndexOf(10); end > 0; end = bytes.lastIndexOf(10, end - 1)) {
      if (++lines > maxLines) {
        from = end + 1;
        break;
      }
    }
    if (from === 0 && size > maxBytes) from = bytes.indexOf(10) + 1;
    return { text: bytes.toString("utf8", from), at: size - bytes.length + from };
  });
}

/** Reads the first `maxBytes` of a regular file. Rejects when there is none. */
export function readHead(path: string, maxBytes: number): Promise<string> {
  return withFile(path, async (file, size) => (await readAt(file, 0, Math.min(size, maxBytes))).toString("utf8"));
}

/** Names in a folder, at most `max`. Throws when there is no folder. */
export function namesIn(folder: string, max: number): string[] {
  const names: string[] = [];
  const dir = opendirSync(folder);
  try {
    for (let entry = dir.readSync(); entry && names.length < max; entry = dir.readSync()) names.push(entry.name);
  } finally {
    dir.closeSync();
  }
  return names;
}

/** Files below a folder, at most `max`, at most `depth` folders deep. Looks at no more than ten times as many names. */
export function filesBelow(folder: string, max: number, depth: number): string[] {
  const files: string[] = [];
  let names = 10 * max;
  const look = (at: string, left: number): void => {
    const dir = opendirSync(at);
    try {
      for (let entry = dir.readSync(); entry && files.length < max && names-- > 0; entry = dir.readSync()) {
        if (entry.isFile()) files.push(join(at, entry.name));
        else if (entry.isDirectory() && left > 0) look(join(at, entry.name), left - 1);
      }
    } finally {
      dir.closeSync();
    }
  };
  look(folder, depth);
  return files;
}

async function withFile<T>(path: string, read: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
  const file = await open(path, READ_FLAGS);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error("not a file");
    return await read(file, stats.size);
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
