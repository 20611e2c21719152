import {
  ArchiveQuery,
  DiffQuery,
  SessionFork,
  SessionRewind,
  WorkspaceFileQuery,
  WorkspaceListQuery,
} from "@gantry/protocol/api/workspace.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { ApiError } from "@gantry/protocol/error.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { Context } from "hono";
import { holding, take } from "../../accounts/limits.ts";
import { attachment, mimeTypeOf } from "../../catalog/files/names.ts";
import type { Snapshot } from "../../snapshots/tables.ts";
import { toIso } from "../../storage/catalog.ts";
import { indexSession } from "../../storage/session-index.ts";
import { names } from "../../workspace/tags.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { idFor } from "../request/idempotency.ts";
import { tell } from "./sessions.ts";
import { STREAM_HEADERS } from "../../base/ndjson.ts";
import { readQuery } from "../request/query.ts";
import { checkSpace } from "../../sandbox/space.ts";
import { toSessionStub, unknownSession } from "../../session/call/session-of.ts";

/** `/v1/sessions/{id}/files`, `/archive`, `/diff`, `/snapshots`, `/fork`, `/rewind`: a session's saved files. */

type Answered = { readonly ok: true } | { readonly ok: false; readonly error: ApiError };

/** Unwraps the answer of an object. Throws its error as a refusal. */
function valueOf<R extends Answered>(result: R): Extract<R, { readonly ok: true }> {
  if (!result.ok) throw new RequestRefused(result.error);
  return result as Extract<R, { readonly ok: true }>;
}

function toSnapshot(snapshot: Snapshot) {
  return {
    type: "snapshot" as const,
    id: snapshot.id,
    run_id: snapshot.runId,
    /** Position of the last event before the snapshot was taken. */
    seq: snapshot.seq,
    files: snapshot.files,
    bytes: snapshot.bytes,
    created_at: toIso(snapshot.at),
  };
}

/** The files of the session that the path names. Throws 404 when the account has no such session. */
async function workspaceOf(c: Context<App>) {
  const id = c.req.param("id") ?? "";
  const workspace = await toSessionStub(c.env, id).workspace(c.get("principal").account);
  if (!workspace) throw unknownSession(id);
  return workspace;
}

/** The part of the path after `/files/`: a path in the workspace. */
function pathIn(c: Context<App>): string {
  const path = c.req.param("path") ?? "";
  if (path === "" || path.split("/").some((step) => step === "" || step === "." || step === ".."))
    throw new RequestRefused({ code: "invalid_request", field: "path", reason: "is not a path below the workspace" });
  return path;
}

/** `GET /v1/sessions/{id}/snapshots`: the snapshots that are still kept, oldest first. */
export async function listSnapshots(c: Context<App>): Promise<Response> {
  const workspace = await workspaceOf(c);
  const snapshots = await workspace.snapshots();
  return c.json({ data: snapshots.map(toSnapshot) });
}

/** `GET /v1/sessions/{id}/files`: the contents of a folder. */
export async function listWorkspace(c: Context<App>): Promise<Response> {
  const { path, recursive, page, limit, snapshot_id, run_id, at_event } = readQuery(c, WorkspaceListQuery);
  const folder = path.replace(/^\/+|\/+$/g, "");
  const asked = { path: folder, recursive: recursive === "true", after: page, limit };
  const workspace = await workspaceOf(c);
  const { snapshot, entries, more } = valueOf(await workspace.list({ snapshot_id, run_id, at_event }, asked));
  return c.json({ data: entries, next_page: more ? entries.at(-1)?.path : null, snapshot: toSnapshot(snapshot) });
}

/** `GET /v1/sessions/{id}/files/{path}`: a file, or a range of it. The `ETag` identifies its contents. */
export async function readWorkspaceFile(c: Context<App>): Promise<Response> {
  const path = pathIn(c);
  const { snapshot_id, run_id, at_event } = readQuery(c, WorkspaceFileQuery);
  const workspace = await workspaceOf(c);
  const { entry, snapshot } = valueOf(await workspace.stat({ snapshot_id, run_id, at_event }, path));
  const size = entry.size ?? 0;
  const etag = `"${entry.etag}"`;
  const headers = {
    etag,
    "accept-ranges": "bytes",
    "last-modified": new Date(entry.modified_at).toUTCString(),
    "x-gantry-snapshot": snapshot.id,
  };
  const known = c.req.header("if-none-match");
  if (known !== undefined && names(known, etag)) return new Response(null, { status: 304, headers });
  const range = rangeOf(c.req.header("if-range") ?? etag, etag, c.req.header("range"), size);
  if (range === "unsatisfiable")
    return new Response(null, { status: 416, headers: { ...headers, "content-range": `bytes */${size}` } });
  const { from, to } = range ?? { from: 0, to: size };
  const { body } = valueOf(await workspace.read({ snapshot_id: snapshot.id }, path, from, to));
  return new Response(body.pipeThrough(new FixedLengthStream(to - from)), {
    status: range ? 206 : 200,
    headers: {
      ...headers,
      ...STREAM_HEADERS,
      ...(range ? { "content-range": `bytes ${from}-${to - 1}/${size}` } : {}),
      "content-type": mimeTypeOf(null, path),
      "content-length": String(to - from),
      "content-disposition": attachment(path.split("/").at(-1) ?? path),
      // A browser must never render an agent's file as a page of this server.
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
    },
  });
}

/** `PUT /v1/sessions/{id}/files/{path}`: stores the body as the file. Honours `If-Match` and `If-None-Match: *`. */
export async function writeWorkspaceFile(c: Context<App>): Promise<Response> {
  const path = pathIn(c);
  await checkSpace(c.env);
  const workspace = await workspaceOf(c);
  const body: ReadableStream<Uint8Array> = c.req.raw.body ?? new Blob([]).stream();
  const conditions = { ifMatch: c.req.header("if-match"), ifNoneMatch: c.req.header("if-none-match") };
  const { entry, existed } = valueOf(await workspace.write(path, body, conditions));
  return c.json(entry, existed ? 200 : 201, { etag: `"${entry.etag}"` });
}

/** `DELETE /v1/sessions/{id}/files/{path}`: deletes a file, or a folder with everything in it. */
export async function deleteWorkspaceFile(c: Context<App>): Promise<Response> {
  const path = pathIn(c);
  const workspace = await workspaceOf(c);
  valueOf(await workspace.remove(path, c.req.header("if-match")));
  return c.json({ type: "workspace_file_deleted", path });
}

/** `GET /v1/sessions/{id}/archive`: the workspace, or a folder of it, as a zip file. */
export async function archiveWorkspace(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const { path, snapshot_id, run_id, at_event } = readQuery(c, ArchiveQuery);
  const folder = path.replace(/^\/+|\/+$/g, "");
  const workspace = await workspaceOf(c);
  const slot = take("archive", c.get("principal"));
  let found: Extract<Awaited<ReturnType<typeof workspace.archive>>, { ok: true }>;
  try {
    found = valueOf(await workspace.archive({ snapshot_id, run_id, at_event }, folder));
  } catch (error) {
    slot[Symbol.dispose]();
    throw error;
  }
  const { body, snapshot } = found;
  return new Response(holding(body, slot), {
    headers: {
      ...STREAM_HEADERS,
      "content-type": "application/zip",
      "content-disposition": attachment(`${id}${folder === "" ? "" : `-${folder.replaceAll("/", "-")}`}.zip`),
      "x-gantry-snapshot": snapshot.id,
    },
  });
}

/** `GET /v1/sessions/{id}/diff`: the changes as JSON, or as one patch with `Accept: text/x-diff`. */
export async function diffWorkspace(c: Context<App>): Promise<Response> {
  const { run_id, from, to } = readQuery(c, DiffQuery);
  if (run_id !== undefined && (from ?? to) !== undefined)
    throw new RequestRefused({
      code: "invalid_request",
      field: "run_id",
      reason: "cannot be combined with from or to",
    });
  const workspace = await workspaceOf(c);
  const slot = take("diff", c.get("principal"));
  let found: Extract<Awaited<ReturnType<typeof workspace.diff>>, { ok: true }>;
  try {
    found = valueOf(await workspace.diff({ run_id, from, to }));
  } finally {
    slot[Symbol.dispose]();
  }
  if (/\btext\/x-(diff|patch)\b/.test(c.req.header("accept") ?? ""))
    return new Response(found.changes.map((change) => change.patch ?? "").join(""), {
      headers: { "content-type": "text/x-diff; charset=utf-8", "x-content-type-options": "nosniff" },
    });
  return c.json({
    type: "diff",
    from: found.from && toSnapshot(found.from),
    to: toSnapshot(found.to),
    changes: found.changes,
    truncated: found.truncated,
  });
}

/** `POST /v1/sessions/{id}/fork`: a new session that starts as a copy of this one. */
export async function forkSession(c: Context<App>): Promise<Response> {
  const source = c.req.param("id") ?? "";
  const fork = await readJson(c.req.raw, SessionFork);
  const { account } = c.get("principal");
  const facts = await toSessionStub(c.env, source).facts(account);
  if (!facts) throw unknownSession(source);
  await checkSpace(c.env);
  const id = c.get("origin") === undefined ? newId("session") : await idFor(c, "session");
  const agentId = facts.setup.agent === null ? null : (JSON.parse(facts.setup.agent) as { id: string | null }).id;
  valueOf(await toSessionStub(c.env, id).forkFrom(account, source, fork));
  await indexSession(c.env, { id, account, createdAt: Date.now(), agentId });
  return c.json(await tell(c, id));
}

/** `POST /v1/sessions/{id}/rewind`: takes files and conversation back to an earlier state. */
export async function rewindSession(c: Context<App>): Promise<Response> {
  const to = await readJson(c.req.raw, SessionRewind);
  const workspace = await workspaceOf(c);
  valueOf(await workspace.rewind(to));
  return c.json(await tell(c, c.req.param("id") ?? ""));
}

/** The requested range of bytes; null for the whole file. Several ranges get the whole file, as RFC 9110 allows. */
function rangeOf(
  ifRange: string,
  etag: string,
  header: string | undefined,
  size: number,
): { from: number; to: number } | "unsatisfiable" | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || ifRange !== etag || (match[1] === "" && match[2] === "")) return null;
  const from = match[1] === "" ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const to = match[1] === "" || match[2] === "" ? size : Math.min(size, Number(match[2]) + 1);
  return from >= size || to <= from ? "unsatisfiable" : { from, to };
}
