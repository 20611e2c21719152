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
 * Files: the contents in R2 under `files/<account>/<id>`, what is known of them in D1. The row comes first and goes
 * last, so that contents without a row cannot be left behind. States of a row:
 *
 * - `uploading`: its contents come in. Left by whoever stores it; after a crash `sweep` removes it.
 * - `ready`: complete. The only state anybody sees.
 * - `deleting`: gone for everybody; its contents are being removed. After a crash `sweep` goes on.
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

/** A row that is not ready after this time belongs to nobody any more. */
const ABANDONED_MS = 24 * 60 * 60 * 1000;

/** A new file; `contents` is read to its end. */
export interface NewFile {
  readonly filename: string;
  readonly mimeType: string;
  readonly contents: AsyncIterable<Uint8Array>;
  /** Session that made it. Null: uploaded. */
  readonly scopeId: string | null;
}

/** What is known of a file. Null: not in this account, deleted, or expired. */
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

/** A file with its contents, as a stream. Null as `getFile`. */
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
 * Stores a file. It is there for nobody until `seconds` has given how long it lives (null: until it is deleted), which
 * is asked when all contents have come: a form may say it behind the file. Whatever throws, nothing is left.
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

/** False: not in this account. */
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

/** Files of an account, newest first. */
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

/** Those of `ids` that are there, newest first. */
export async function listFilesById(env: Env, account: string, ids: readonly string[]): Promise<BetaFileMetadata[]> {
  const { results } = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE account = ? AND ${VISIBLE} AND id IN (SELECT value FROM json_each(?)) ORDER BY id DESC`)
    .bind(account, Date.now(), JSON.stringify(ids))
    .all<FileRow>();
  return results.map(toFile);
}

/** Removes a few files that expired, or that a crash left half stored or half deleted. */
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
