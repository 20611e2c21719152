import type {
  ConfigParams,
  EnvironmentCreate,
  EnvironmentUpdate,
  NetworkingParams,
  PackagesParams,
} from "@gantry/protocol/api/environments.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import type {
  BetaCloudConfig,
  BetaEnvironment,
  BetaPackages,
} from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { auditStatement } from "../accounts/audit.ts";
import type { Actor } from "../accounts/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../env.ts";
import { catalog, toIso } from "../storage/catalog.ts";
import { readPage } from "../storage/paging.ts";
import type { Page, PageRequest } from "../storage/paging.ts";

type Body = Pick<BetaEnvironment, "name" | "description" | "config" | "metadata"> & {
  scope: NonNullable<BetaEnvironment["scope"]>;
};

interface EnvironmentRow {
  id: string;
  created_at: number;
  updated_at: number;
  archived_at: number | null;
  body: string;
}

const SELECT = "SELECT id, created_at, updated_at, archived_at, body FROM environments";

/** An environment, archived ones too. Null: not in this account. */
export async function getEnvironment(env: Env, account: string, id: string): Promise<BetaEnvironment | null> {
  if (!isId("environment", id)) return null;
  const row = await (
    await catalog(env)
  )
    .prepare(`${SELECT} WHERE id = ? AND account = ?`)
    .bind(id, account)
    .first<EnvironmentRow>();
  return row === null ? null : toEnvironment(row);
}

export async function createEnvironment(env: Env, actor: Actor, wanted: EnvironmentCreate): Promise<BetaEnvironment> {
  const db = await catalog(env);
  const now = Date.now();
  const body: Body = {
    name: wanted.name,
    description: wanted.description ?? null,
    config: resolveConfig(wanted.config ?? { type: "cloud" }, null),
    metadata: wanted.metadata ?? {},
    scope: wanted.scope ?? "organization",
  };
  const row = {
    id: newId("environment", now),
    created_at: now,
    updated_at: now,
    archived_at: null,
    body: JSON.stringify(body),
  };
  await db.batch([
    db
      .prepare(`INSERT INTO environments (id, account, created_at, updated_at, body) VALUES (?, ?, ?, ?, ?)`)
      .bind(row.id, actor.account, now, now, row.body),
    auditStatement(db, actor, "environment.create", row.id),
  ]);
  return toEnvironment(row);
}

/** Changes an environment, or nothing when nothing is different. Two changes at once: the later one wins. Null: not in this account. */
export async function updateEnvironment(
  env: Env,
  actor: Actor,
  id: string,
  change: EnvironmentUpdate,
): Promise<BetaEnvironment | null> {
  const current = await getEnvironment(env, actor.account, id);
  if (current === null) return null;
  if (current.archived_at !== null) {
    const reason = "this environment is archived";
    throw new RequestRefused({ code: "invalid_request", field: "id", reason, errorCode: "environment_archived" });
  }
  const body: Body = {
    name: change.name ?? current.name,
    description: change.description === undefined ? current.description : change.description,
    config: change.config ? resolveConfig(change.config, current.config) : current.config,
    metadata: patchMetadata(current.metadata, change.metadata ?? {}, true),
    scope: change.scope ?? current.scope ?? "organization",
  };
  const { name, description, config, metadata, scope } = current;
  const stored = JSON.stringify(body);
  if (stored === JSON.stringify({ name, description, config, metadata, scope })) return current;
  const db = await catalog(env);
  await db.batch([
    db
      .prepare(`UPDATE environments SET body = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`)
      .bind(stored, Date.now(), id, actor.account),
    auditStatement(db, actor, "environment.update", id),
  ]);
  return getEnvironment(env, actor.account, id);
}

/** Archives an environment: it stays readable, and no session begins in it. Again: nothing changes. Null: not here. */
export async function archiveEnvironment(env: Env, actor: Actor, id: string): Promise<BetaEnvironment | null> {
  const db = await catalog(env);
  const now = Date.now();
  await db.batch([
    db
      .prepare(
        `UPDATE environments SET archived_at = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`,
      )
      .bind(now, now, id, actor.account),
    auditStatement(db, actor, "environment.archive", id),
  ]);
  return getEnvironment(env, actor.account, id);
}

/** False: not in this account. */
export async function deleteEnvironment(env: Env, actor: Actor, id: string): Promise<boolean> {
  const db = await catalog(env);
  const [deleted] = await db.batch([
    db.prepare(`DELETE FROM environments WHERE id = ? AND account = ?`).bind(id, actor.account),
    auditStatement(db, actor, "environment.delete", id),
    db.prepare(`DELETE FROM work WHERE environment_id = ? AND account = ?`).bind(id, actor.account),
    db
      .prepare(
        `DELETE FROM work_polls WHERE environment_id = ?1 AND NOT EXISTS (SELECT 1 FROM environments WHERE id = ?1)`,
      )
      .bind(id),
  ]);
  return (deleted?.meta.changes ?? 0) > 0;
}

/** Environments of an account, newest first. */
export async function listEnvironments(
  env: Env,
  account: string,
  includeArchived: boolean,
  request: PageRequest,
): Promise<Page<BetaEnvironment>> {
  const where = ["account = ?", ...(includeArchived ? [] : ["archived_at IS NULL"])];
  const query = { select: SELECT, where, values: [account], key: "id" };
  return readPage(await catalog(env), query, request, (row: EnvironmentRow) => row.id, toEnvironment);
}

/** A configuration with nothing left out; what a change leaves out is as before. */
function resolveConfig(wanted: ConfigParams, before: BetaEnvironment["config"] | null): BetaEnvironment["config"] {
  if (before !== null && before.type !== wanted.type) {
    const reason = `cannot change from ${before.type} to ${wanted.type}`;
    throw new RequestRefused({
      code: "invalid_request",
      field: "config.type",
      reason,
      errorCode: "invalid_config_type_change",
    });
  }
  if (wanted.type === "self_hosted") return { type: "self_hosted" };
  const cloud = before?.type === "cloud" ? before : null;
  const config: BetaCloudConfig = {
    type: "cloud",
    networking: resolveNetworking(wanted.networking, cloud),
    packages: resolvePackages(wanted.packages, cloud),
  };
  const { networking, packages } = config;
  const wantsPackages = Object.values(packages).some((names) => Array.isArray(names) && names.length > 0);
  if (wantsPackages && networking.type === "limited" && !networking.allow_package_managers) {
    throw new RequestRefused({
      code: "invalid_request",
      field: "config.networking.allow_package_managers",
      reason: "must be true, because there are packages to install",
    });
  }
  return config;
}

function resolveNetworking(
  wanted: NetworkingParams | null | undefined,
  before: BetaCloudConfig | null,
): BetaCloudConfig["networking"] {
  if (wanted === null || wanted === undefined) return before?.networking ?? { type: "unrestricted" };
  if (wanted.type === "unrestricted") return { type: "unrestricted" };
  const limited = before?.networking.type === "limited" ? before.networking : null;
  return {
    type: "limited",
    allow_mcp_servers: wanted.allow_mcp_servers ?? limited?.allow_mcp_servers ?? false,
    allow_package_managers: wanted.allow_package_managers ?? limited?.allow_package_managers ?? false,
    allowed_hosts: wanted.allowed_hosts ?? limited?.allowed_hosts ?? [],
  };
}

function resolvePackages(wanted: PackagesParams | null | undefined, before: BetaCloudConfig | null): BetaPackages {
  const names = (manager: "apt" | "cargo" | "gem" | "go" | "npm" | "pip"): string[] =>
    wanted?.[manager] ?? before?.packages[manager] ?? [];
  return {
    type: "packages",
    apt: names("apt"),
    cargo: names("cargo"),
    gem: names("gem"),
    go: names("go"),
    npm: names("npm"),
    pip: names("pip"),
  };
}

function toEnvironment(row: EnvironmentRow): BetaEnvironment {
  return {
    type: "environment",
    id: row.id,
    ...(JSON.parse(row.body) as Body),
    created_at: toIso(row.created_at),
    updated_at: toIso(row.updated_at),
    archived_at: toIso(row.archived_at),
  } satisfies BetaEnvironment;
}
