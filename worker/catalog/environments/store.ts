import type {
  ConfigParams,
  EnvironmentCreate,
  EnvironmentUpdate,
  NetworkingParams,
  PackagesParams,
} from "@gantry/protocol/api/environments.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type {
  BetaCloudConfig,
  BetaEnvironment,
  BetaPackages,
} from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { Actor } from "../../storage/audit.ts";
import { patchMetadata } from "../agents/resolve.ts";
import type { Env } from "../../base/env.ts";
import { Documents } from "../../storage/documents.ts";

type Body = Pick<BetaEnvironment, "name" | "description" | "config" | "metadata"> & {
  scope: NonNullable<BetaEnvironment["scope"]>;
};

/** Environments of an account. */
export const environments = new Documents<Body, BetaEnvironment>("environment", (stamp, body) => ({
  type: "environment",
  ...body,
  ...stamp,
}));

/** Creates an environment. Throws `RequestRefused` when its configuration contradicts itself. */
export function createEnvironment(env: Env, actor: Actor, wanted: EnvironmentCreate): Promise<BetaEnvironment> {
  return environments.create(env, actor, {
    name: wanted.name,
    description: wanted.description ?? null,
    config: resolveConfig(wanted.config ?? { type: "cloud" }, null),
    metadata: wanted.metadata ?? {},
    scope: wanted.scope ?? "organization",
  });
}

/** Changes an environment. Of two concurrent changes the later one wins. Null: the account has no such environment. */
export async function updateEnvironment(
  env: Env,
  actor: Actor,
  id: string,
  change: EnvironmentUpdate,
): Promise<BetaEnvironment | null> {
  const current = await environments.getOpen(env, actor.account, id, "environment_archived");
  if (current === null) return null;
  const body: Body = {
    name: change.name ?? current.name,
    description: change.description === undefined ? current.description : change.description,
    config: change.config ? resolveConfig(change.config, current.config) : current.config,
    metadata: patchMetadata(current.metadata, change.metadata ?? {}, true),
    scope: change.scope ?? current.scope ?? "organization",
  };
  const { name, description, config, metadata, scope } = current;
  if (JSON.stringify(body) === JSON.stringify({ name, description, config, metadata, scope })) return current;
  return environments.replace(env, actor, id, body);
}

/** Deletes an environment and its queued work. False: the account has no such environment. */
export function deleteEnvironment(env: Env, actor: Actor, id: string): Promise<boolean> {
  return environments.remove(env, actor, id, (db) => [
    db.prepare(`DELETE FROM work WHERE environment_id = ? AND account = ?`).bind(id, actor.account),
    db
      .prepare(
        `DELETE FROM work_polls WHERE environment_id = ?1 AND NOT EXISTS (SELECT 1 FROM environments WHERE id = ?1)`,
      )
      .bind(id),
  ]);
}

/** Fills in what a request leaves out of a configuration: the previous values, or the defaults. */
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
