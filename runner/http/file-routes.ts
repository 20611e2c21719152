import type { IncomingMessage, ServerResponse } from "node:http";
import type { Buffer } from "node:buffer";
import { FileRefused, removeFile, writeFile } from "../folders/workspace-files.ts";
import type { SessionHost } from "../host/session-host.ts";

/**
 * Routes that put files into a session's workspace, or remove them, from outside:
 * `PUT` and `DELETE /sessions/{id}/files/{path}`. `GET /sessions/{id}/folder` names the folder that is here, so that the
 * session can check that it is the right one.
 */

/** Largest file, in bytes, when the session sets no limit. */
const DEFAULT_MAX_BYTES = 512 * 1024 * 1024;

/** Matches the routes. `path` is relative to the workspace; null when the request asks for the folder's name. */
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

/** Answers a matched request. The caller has checked the token. Rejects with an unexpected error after the answer. */
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
    if (error instanceof FileRefused) return json(error.status, { message: error.message });
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENAMETOOLONG") return json(400, { message: "is too long" });
    // The message of a system error names a path of this machine.
    json(500, { message: `The file could not be changed${code === undefined ? "" : ` (${code})`}.` });
    throw error;
  }
}
