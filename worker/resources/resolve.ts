import type { ResourceParams } from "@gantry/protocol/api/resources.ts";
import { MAX_RESOURCES } from "@gantry/protocol/api/resources.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { Mount } from "@gantry/protocol/mount.ts";
import type { Env } from "../base/env.ts";
import { getFile } from "../catalog/files/store.ts";
import type { SessionResource } from "./session-resource.ts";
import { canSeal, seal } from "../storage/seal.ts";
import { checkRepositoryUrl, repositoryName } from "./repository-url.ts";

/** Default folder of mounted files, and the folder in which the agent leaves its results. */
const UPLOADS = "/mnt/session/uploads";
const OUTPUTS = "/mnt/session/outputs";

/** Name that a repository's credential is sealed under. */
export function secretName(sessionId: string, resourceId: string): string {
  return `resource|${sessionId}|${resourceId}`;
}

/** A checked resource of a request. */
export interface WantedResource {
  readonly mount: Mount;
  /** Credential, not sealed yet; null without one. */
  readonly token: string | null;
}

/**
 * Checks the resources of a request against each other and against those the session has (`there`). Throws
 * `RequestRefused` that names the field below `field`: `resources` for a list, "" for a single resource.
 */
export async function resolveResources(
  env: Env,
  account: string,
  wanted: readonly ResourceParams[],
  there: readonly Mount[],
  field: string,
): Promise<WantedResource[]> {
  const resolved: WantedResource[] = [];
  if (there.length + wanted.length > MAX_RESOURCES)
    throw refused(field || "type", `at most ${MAX_RESOURCES} resources`);
  for (const [i, params] of wanted.entries()) {
    const at = (name: string): string => (field === "" ? name : `${field}[${i}].${name}`);
    const mount = await mountOf(env, account, params, at);
    checkPath(mount, [...there, ...resolved.map((each) => each.mount)], at("mount_path"));
    const token = params.type === "github_repository" ? (params.authorization_token ?? null) : null;
    if (token !== null) checkCanSeal(env, at("authorization_token"));
    resolved.push({ mount, token });
  }
  return resolved;
}

/** Turns checked resources into a session's own, with credentials sealed for that session. */
export async function toSessionResources(
  env: Env,
  sessionId: string,
  wanted: readonly WantedResource[],
): Promise<SessionResource[]> {
  const now = Date.now();
  const made: SessionResource[] = [];
  for (const { mount, token } of wanted) {
    const secret = token === null ? null : await seal(env, secretName(sessionId, mount.id), token);
    made.push({ mount, secret, createdAt: now, updatedAt: now });
  }
  return made;
}

/** Refuses a credential when this server cannot seal it: credentials are never stored in plain text. */
export function checkCanSeal(env: Env, field: string): void {
  if (!canSeal(env)) throw refused(field, "cannot be stored: this server has no GANTRY_ENCRYPTION_KEY");
}

async function mountOf(
  env: Env,
  account: string,
  params: ResourceParams,
  at: (name: string) => string,
): Promise<Mount> {
  const id = newId("resource");
  if (params.type === "file") {
    const file = await getFile(env, account, params.file_id);
    if (!file) throw new RequestRefused({ code: "not_found", what: `File ${JSON.stringify(params.file_id)}` });
    const path = params.mount_path ?? `${UPLOADS}/${file.id}`;
    return { type: "file", id, path, fileId: file.id, filename: file.filename, size: file.size_bytes };
  }
  const checked = checkRepositoryUrl(params.url, trustedHosts(env));
  if (!checked.ok) throw refused(at("url"), checked.reason);
  const path = params.mount_path ?? `/workspace/${repositoryName(checked.url) ?? id}`;
  return { type: "repository", id, path, url: checked.url, checkout: params.checkout ?? null };
}

/** A file may be mounted inside a repository. All other mounts must not contain each other. */
function checkPath(mount: Mount, others: readonly Mount[], field: string): void {
  const inside = (path: string, folder: string): boolean => `${path}/`.startsWith(`${folder}/`);
  if (inside(mount.path, OUTPUTS) || inside(OUTPUTS, mount.path))
    throw refused(field, `must not overlap ${OUTPUTS}, where the agent leaves its files`);
  for (const other of others) {
    const [mine, theirs] = [mount.path.toLowerCase(), other.path.toLowerCase()];
    if (mine === theirs) throw refused(field, `another resource is already mounted at ${other.path}`);
    const fileInRepository = mount.type === "file" && other.type === "repository" && inside(mine, theirs);
    const repositoryAroundFile = mount.type === "repository" && other.type === "file" && inside(theirs, mine);
    if (!fileInRepository && !repositoryAroundFile && (inside(mine, theirs) || inside(theirs, mine)))
      throw refused(field, `overlaps the resource mounted at ${other.path}`);
  }
}

/** Private hosts of repositories that the operator trusts. */
export function trustedHosts(env: Env): string[] {
  return (env.GANTRY_TRUSTED_GIT_HOSTS ?? "").split(",").flatMap((host) => host.trim().toLowerCase() || []);
}

function refused(field: string, reason: string): RequestRefused {
  return new RequestRefused({ code: "invalid_request", field, reason });
}
