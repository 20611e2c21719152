import type { Template, TemplateCreate, TemplateUpdate } from "@gantry/protocol/api/templates.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import { auditStatement } from "../accounts/audit.ts";
import type { Actor } from "../accounts/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../env.ts";
import { catalog, toIso } from "../storage/catalog.ts";
import { readPage } from "../storage/paging.ts";
import type { Page, PageRequest } from "../storage/paging.ts";

interface TemplateRow {
  id: string;
  created_at: number;
  updated_at: number;
  archived_at: number | null;
  body: string;
}

const SELECT = "SELECT id, created_at, updated_at, archived_at, body FROM templates";

/** A template, archived ones too. Null: not in this account. */
export async function getTemplate(env: Env, account: string, id: string): Promise<Template | null> {
  if (!isId("template", id)) return null;
  const row = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE id = ? AND account = ?`)
    .bind(id, account)
    .first<TemplateRow>();
  return row === null ? null : toTemplate(row);
}

export async function createTemplate(env: Env, actor: Actor, body: TemplateCreate): Promise<Template> {
  const db = await catalog(env);
  const now = Date.now();
  const id = newId("template", now);
  const row = { id, created_at: now, updated_at: now, archived_at: null, body: JSON.stringify(body) };
  await db.batch([
    db
      .prepare(`INSERT INTO templates (id, account, created_at, updated_at, body) VALUES (?, ?, ?, ?, ?)`)
      .bind(id, actor.account, now, now, row.body),
    auditStatement(db, actor, "template.create", id),
  ]);
  return toTemplate(row);
}

/** Changes a template; sessions that were made from it stay as they are. Two changes at once: the later one wins. */
export async function updateTemplate(
  env: Env,
  actor: Actor,
  id: string,
  change: TemplateUpdate,
): Promise<Template | null> {
  const current = await getTemplate(env, actor.account, id);
  if (current === null) return null;
  if (current.archived_at !== null)
    throw new RequestRefused({ code: "invalid_request", field: "id", reason: "this template is archived" });
  const { type: _type, id: _id, created_at: _c, updated_at: _u, archived_at: _a, ...before } = current;
  const { metadata, ...fields } = change;
  const after = Object.fromEntries(
    Object.entries({ ...before, ...fields }).filter(([, value]) => value !== null && value !== undefined),
  );
  const patched = metadata ? { metadata: patchMetadata(before.metadata ?? {}, metadata, false) } : {};
  const db = await catalog(env);
  await db.batch([
    db
      .prepare(`UPDATE templates SET body = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`)
      .bind(JSON.stringify({ ...after, ...patched }), Date.now(), id, actor.account),
    auditStatement(db, actor, "template.update", id),
  ]);
  return getTemplate(env, actor.account, id);
}

/** Archives a template: it stays readable, and no session begins from it. Null: not in this account. */
export async function archiveTemplate(env: Env, actor: Actor, id: string): Promise<Template | null> {
  const db = await catalog(env);
  const now = Date.now();
  await db.batch([
    db
      .prepare(
        `UPDATE templates SET archived_at = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`,
      )
      .bind(now, now, id, actor.account),
    auditStatement(db, actor, "template.archive", id),
  ]);
  return getTemplate(env, actor.account, id);
}

/** Templates of an account, newest first. */
export async function listTemplates(
  env: Env,
  account: string,
  includeArchived: boolean,
  request: PageRequest,
): Promise<Page<Template>> {
  const where = ["account = ?", ...(includeArchived ? [] : ["archived_at IS NULL"])];
  const query = { select: SELECT, where, values: [account], key: "id" };
  return readPage(await catalog(env), query, request, (row: TemplateRow) => row.id, toTemplate);
}

function toTemplate(row: TemplateRow): Template {
  return {
    type: "template",
    id: row.id,
    ...(JSON.parse(row.body) as TemplateCreate),
    created_at: toIso(row.created_at),
    updated_at: toIso(row.updated_at),
    archived_at: toIso(row.archived_at),
  };
}
