import { FileFields, FileListQuery } from "@gantry/protocol/api/files.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { BetaDeletedFile, BetaFileMetadata } from "@anthropic-ai/sdk/resources/beta/files";
import type { Context } from "hono";
import { report } from "../../base/log.ts";
import { MAX_FILE_BYTES } from "../../catalog/files/blob.ts";
import { boundaryOf, fieldText, readParts } from "../../catalog/files/multipart.ts";
import type { Part } from "../../catalog/files/multipart.ts";
import { attachment, filenameOf, mimeTypeOf } from "../../catalog/files/names.ts";
import {
  deleteFile,
  getFile,
  listFiles,
  listFilesById,
  openFile,
  storeFile,
  sweep,
} from "../../catalog/files/store.ts";
import { refusedBy } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { FormHash } from "../request/form-fingerprint.ts";
import { STREAM_HEADERS } from "../../base/ndjson.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/files`, as in Anthropic's Files API. */

/** Bytes that a form may have in addition to its file: boundaries, headers and fields. */
const FORM_BYTES = 1024 * 1024;

/** `POST /v1/files`: a form with `file` and optionally `expires_in_seconds`. The file is streamed, never held in memory. */
export async function uploadFile(c: Context<App>): Promise<Response> {
  const boundary = boundaryOf(c.req.header("content-type") ?? null);
  if (Number(c.req.header("content-length") ?? 0) > MAX_FILE_BYTES + FORM_BYTES)
    throw new RequestRefused({ code: "body_too_large", maxBytes: MAX_FILE_BYTES });
  await checkSpace(c.env);
  // A refusal must not cancel the body: the rest of it is read, so that the client sees the reason.
  const body: AsyncIterable<Uint8Array> | undefined = c.req.raw.body?.values({ preventCancel: true });
  const hash = c.get("origin") === undefined ? null : new FormHash();
  const form = readParts(body ?? noBytes(), boundary);
  const parts = hash === null ? form : hash.over(form);
  let stored: BetaFileMetadata;
  try {
    stored = await storeFirstFile(c, parts, new Map());
  } finally {
    await parts.return(undefined);
  }
  if (hash !== null) c.set("fingerprint", `${c.get("origin")?.target} ${await hash.digest()}`);
  c.executionCtx.waitUntil(
    sweep(c.env).catch((error: unknown) => report({ event: "sweep_failed", error: String(error) })),
  );
  return c.json(stored);
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

async function storeFirstFile(
  c: Context<App>,
  parts: AsyncGenerator<Part>,
  fields: Map<string, string>,
): Promise<BetaFileMetadata> {
  for (;;) {
    const { value: part, done } = await parts.next();
    if (done) throw new RequestRefused({ code: "invalid_request", field: "file", reason: "is required" });
    if (part.name !== "file") {
      await addField(part, fields);
      continue;
    }
    const mimeType = mimeTypeOf(part.contentType, part.filename);
    const file = { filename: filenameOf(part.filename, mimeType), mimeType, contents: part.body, scopeId: null };
    return storeFile(c.env, actorOf(c), file, async () => {
      for await (const rest of parts) await addField(rest, fields);
      const checked = FileFields.safeParse(Object.fromEntries(fields));
      if (!checked.success) throw refusedBy(checked.error);
      return checked.data.expires_in_seconds ?? null;
    });
  }
}

async function addField(part: Part, fields: Map<string, string>): Promise<void> {
  if (part.name === "file" || fields.has(part.name))
    throw new RequestRefused({ code: "invalid_request", field: part.name, reason: "is there twice" });
  if (fields.size >= 16)
    throw new RequestRefused({ code: "invalid_request", field: part.name, reason: "unknown field" });
  fields.set(part.name, await fieldText(part));
}

/** `GET /v1/files`, newest first. */
export async function listFilesDoor(c: Context<App>): Promise<Response> {
  const { "ids[]": ids, scope_id, limit = 20, page } = readQuery(c, FileListQuery);
  const { account } = c.get("principal");
  if (ids !== undefined)
    return c.json({ data: await listFilesById(c.env, account, ids), next_page: null, prev_page: null });
  return c.json(await listFiles(c.env, account, scope_id, pageOf({ limit, page })));
}

/** `GET /v1/files/{id}` */
export async function retrieveFile(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  return c.json(found(await getFile(c.env, c.get("principal").account, id), "File", id));
}

/** `GET /v1/files/{id}/content`: the bytes, always as a download, whatever their type is. */
export async function downloadFile(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const { file, body, sha256 } = found(await openFile(c.env, c.get("principal").account, id), "File", id);
  return new Response(body.pipeThrough(new FixedLengthStream(file.size_bytes)), {
    headers: {
      ...STREAM_HEADERS,
      "content-type": file.mime_type,
      "content-length": String(file.size_bytes),
      "content-disposition": attachment(file.filename),
      "content-security-policy": "sandbox; default-src 'none'",
      etag: `"${sha256}"`,
    },
  });
}

/** `DELETE /v1/files/{id}` */
export async function deleteFileDoor(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  found((await deleteFile(c.env, actorOf(c), id)) || null, "File", id);
  return c.json({ id, type: "file_deleted" } satisfies BetaDeletedFile);
}
