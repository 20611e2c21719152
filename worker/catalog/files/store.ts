import { isId, newId } from "@gantry/protocol/ids.ts";
import type { BetaFileMetadata } from "@anthropic-ai/sdk/resources/beta/files";
import { auditStatement } from "../../storage/audit.ts";
import type { Actor } from "../../storage/audit.ts";
import type { Env } from "../../base/env.ts";
import { catalog, toIso } from "../../storage/catalog.ts";
import { readPage } from "../../storage/paging.ts";
import type { Page, PageRequest } from "../../storage/paging.ts";
import { readBlob, writeBlob } from "./blob.ts";

/**
 * Files: the contents are in R2 under `files/<account>/<id>`, the metadata in D1. The row is written first and removed
 * last, so that no contents are left without a row. States of a row:
 *
 * - `uploading`: the contents are arriving. `storeFile` ends this state; after a crash `sweep` removes the file.
 * - `ready`: complete. Clients see only this state.
 * - `deleting`: invisible to clients; the contents are being removed. After a crash `sweep` finishes that.
 */
interface FileRow {
  id: string;
  filename: string;
  mime_type: string;
  size: number;
  sha256: string;
  scope_id: string | null;
  created_at: number;
  expires_at: number | null;
}

const SELECT = "SELECT id, filename, mime_type, size, sha256, scope_id, created_at, expires_at FROM files";
const VISIBLE = "state = 'ready' AND (expires_at IS NULL OR expires_at > ?)";

/** A row that is not ready after this time was left by a crash. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;

/** A file to store; `contents` is read to its end. */
export interface NewFile {
  readonly filename: string;
  readonly mimeType: string;
  readonly contents: AsyncIterable<Uint8Array>;
  /** Session that created it. Null: uploaded. */
  readonly scopeId: string | null;
}

/** A file's metadata. Null: the account has no such file, or it is deleted or expired. */
export async function getFile(env: Env, account: string, id: string): Promise<BetaFileMetadata | null> {
  const row = await readRow(env, account, id);
  return row === null ? null : toFile(row);
}

async function readRow(env: Env, account: string, id: string): Promise<FileRow | null> {
  if (!isId("file", id)) return null;
  return (await catalog(env))
    .prepare(`${SELECT} WHERE id = ? AND account = ? AND ${VISIBLE}`)
    .bind(id, account, Date.now())
    .first<FileRow>();
}

/** A file with its contents as a stream. Null: as for `getFile`. */
export async function openFile(
  env: Env,
  account: string,
  id: string,
): Promise<{ file: BetaFileMetadata; body: ReadableStream<Uint8Array>; sha256: string } | null> {
  const row = await readRow(env, account, id);
  const object = row === null ? null : await env.FILES.head(blobKey(account, id));
  if (row === null || object === null) return null;
  return { file: toFile(row), body: readBlob(env.FILES, object.key, row.size), sha256: row.sha256 };
}

/**
 * Stores a file. `seconds` returns its lifetime (null: until it is deleted). It is called after all contents have arrived,
 * because a form may give the lifetime after the file; only then does the file become visible. On any error nothing is left.
 */
export async function storeFile(
  env: Env,
  actor: Actor,
  file: NewFile,
  seconds: () => Promise<number | null>,
): Promise<BetaFileMetadata> {
  const db = await catalog(env);
  const now = Date.now();
  const id = newId("file", now);
  const key = blobKey(actor.account, id);
  await db
    .prepare(
      `INSERT INTO files (id, account, state, filename, mime_type, size, sha256, scope_id, created_at) VALUES (?, ?, 'uploading', ?, ?, 0, '', ?, ?)`,
    )
    .bind(id, actor.account, file.filename, file.mimeType, file.scopeId, now)
    .run();
  try {
    const { size, sha256 } = await writeBlob(env.FILES, key, file.contents);
    const lives = await seconds();
    const expires_at = lives === null ? null : now + lives * 1000;
    await db.batch([
      db
        .prepare(`UPDATE files SET state = 'ready', size = ?, sha256 = ?, expires_at = ? WHERE id = ?`)
        .bind(size, sha256, expires_at, id),
      auditStatement(db, actor, "file.create", id),
    ]);
    const { filename, mimeType: mime_type, scopeId: scope_id } = file;
    return toFile({ id, filename, mime_type, size, sha256, scope_id, created_at: now, expires_at });
  } catch (error) {
    await env.FILES.delete(key);
    await db.prepare(`DELETE FROM files WHERE id = ?`).bind(id).run();
    throw error;
  }
}

/** Deletes a file. False: the account has no such file. */
export async function deleteFile(env: Env, actor: Actor, id: string): Promise<boolean> {
  const db = await catalog(env);
  const [marked] = await db.batch([
    db
      .prepare(`UPDATE files SET state = 'deleting' WHERE id = ? AND account = ? AND ${VISIBLE}`)
      .bind(id, actor.account, Date.now()),
    auditStatement(db, actor, "file.delete", id),
  ]);
  if ((marked?.meta.changes ?? 0) === 0) return false;
  await remove(env, db, actor.account, id);
  return true;
}

/** Files of an account (`scopeId`: created by that session), newest first. */
export async function listFiles(
  env: Env,
  account: string,
  scopeId: string | undefined,
  request: PageRequest,
): Promise<Page<BetaFileMetadata>> {
  const where = ["account = ?", VISIBLE, ...(scopeId === undefined ? [] : ["scope_id = ?"])];
  const values = [account, Date.now(), ...(scopeId === undefined ? [] : [scopeId])];
  const query = { select: SELECT, where, values, key: "id" };
  return readPage(await catalog(env), query, request, (row: FileRow) => row.id, toFile);
}

/** Those of `ids` that exist, newest first. */
export async function listFilesById(env: Env, account: string, ids: readonly string[]): Promise<BetaFileMetadata[]> {
  const { results } = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE account = ? AND ${VISIBLE} AND id IN (SELECT value FROM json_each(?)) ORDER BY id DESC`)
    .bind(account, Date.now(), JSON.stringify(ids))
    .all<FileRow>();
  return results.map(toFile);
}

/** Removes up to `max` files that have expired, or that a crash left partly stored or partly deleted. */
export async function sweep(env: Env, max: number = 20): Promise<void> {
  const db = await catalog(env);
  const now = Date.now();
  const { results } = await db
    .prepare(`SELECT id, account FROM files WHERE (state <> 'ready' AND created_at < ?) OR expires_at < ? LIMIT ?`)
    .bind(now - ABANDONED_MS, now, max)
    .all<{ id: string; account: string }>();
  for (const { id, account } of results) await remove(env, db, account, id);
}

async function remove(env: Env, db: D1Database, account: string, id: string): Promise<void> {
  await env.FILES.delete(blobKey(account, id));
  await db.prepare(`DELETE FROM files WHERE id = ?`).bind(id).run();
}

function blobKey(account: string, id: string): string {
  return `files/${account}/${id}`;
}

function toFile(row: FileRow): BetaFileMetadata {
  return {
    type: "file",
    id: row.id,
    filename: row.filename,
    mime_type: row.mime_type,
    size_bytes: row.size,
    created_at: toIso(row.created_at),
    expires_at: toIso(row.expires_at),
    downloadable: true,
    scope: row.scope_id === null ? null : { type: "session", id: row.scope_id },
  } satisfies BetaFileMetadata;
}
