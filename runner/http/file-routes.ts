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
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { isSavedPath } from "@gantry/protocol/snapshot.ts";
import type { SessionHost } from "../host/session-host.ts";

/**
 * Files that somebody puts into, or takes out of, a session's workspace from outside:
 * `PUT` and `DELETE /sessions/{id}/files/{path}`, and before that `GET /sessions/{id}/folder`, which names the folder
 * that is here. The agent may have made any link anywhere: none is followed.
 */

/** How many bytes a file may have, if the session does not say. */
const DEFAULT_MAX_BYTES = 512 * 1024 * 1024;

export class FileRefused extends Error {
  readonly status: 400 | 404 | 409 | 413;
  constructor(status: FileRefused["status"], message: string) {
    super(message);
    this.status = status;
  }
}

/** Matches the routes: the session, and the path in its workspace; none when its folder is asked for. */
export function matchFileRoute(request: IncomingMessage): { sessionId: string; path: string | null } | null {
  const match = /^\/sessions\/([^/]+)\/(?:(folder)|files\/([^?]+))$/.exec(request.url ?? "");
  if (!match?.[1]) return null;
  if (match[2]) return request.method === "GET" ? { sessionId: match[1], path: null } : null;
  if (request.method !== "PUT" && request.method !== "DELETE") return null;
  try {
    return { sessionId: match[1], path: decodeURIComponent(match[3] ?? "") };
  } catch {
    return null;
  }
}

/** Answers them. Authorised already. */
export async function answerFiles(
  request: IncomingMessage,
  response: ServerResponse,
  runnerId: string,
  host: SessionHost,
  path: string | null,
): Promise<void> {
  const json = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  try {
    if (path === null) return json(200, { runnerId, folder: host.files.saved.folder() });
    const { workspace } = await host.files.open();
    if (request.method === "DELETE") {
      removeFile(workspace, path);
      return json(200, {});
    }
    const maxBytes = Number(request.headers["x-max-bytes"]) || DEFAULT_MAX_BYTES;
    json(200, { size: await writeFile(workspace, path, request as AsyncIterable<Buffer>, maxBytes) });
  } catch (error) {
    const status = error instanceof FileRefused ? error.status : 500;
    json(status, { message: error instanceof FileRefused ? error.message : String(error).slice(0, 500) });
  }
}

/** Writes beside the place and renames: a reader sees the old contents or the new, whole. Makes missing folders. */
export async function writeFile(
  workspace: string,
  path: string,
  contents: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<number> {
  const target = placeOf(workspace, path, true);
  if (existsSync(target) && lstatSync(target).isDirectory()) throw new FileRefused(409, `${path} is a folder.`);
  const staged = join(dirname(target), `.${randomUUID()}.part`);
  const fd = openSync(staged, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o644);
  let size = 0;
  try {
    for await (const piece of contents) {
      if (size + piece.length > maxBytes) throw new FileRefused(413, `A file may have ${maxBytes} bytes.`);
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

/** Removes a file, a link, or a folder with all that is in it. */
export function removeFile(workspace: string, path: string): void {
  const target = placeOf(workspace, path, false);
  try {
    lstatSync(target);
  } catch {
    throw new FileRefused(404, `There is no ${path}.`);
  }
  rmSync(target, { recursive: true, maxRetries: 3 });
}

/** Where a path of the workspace is on the disk, once every folder on the way is known to be a folder and no link. */
function placeOf(workspace: string, path: string, make: boolean): string {
  if (!isSavedPath(`workspace/${path}`)) throw new FileRefused(400, "is not a path below the workspace");
  const steps = path.split("/");
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
