import { z } from "zod";
import { COMMON_QUERY, PAGE_QUERY } from "./common.ts";

/**
 * What a key may do. A request needs one of the scopes that its route lists (`worker/http/routes/routes.ts`).
 *
 * - `admin`: everything in its account, including keys and the audit log
 * - `agents`: create and change agents and environments
 * - `sessions`: start, prompt, steer and delete sessions
 * - `models`: call models through the router
 * - `work`: take work items of self-hosted environments and carry out their tool calls; for workers
 * - `files`: upload, download and delete files; read the files of workspaces
 * - `read`: read everything except keys, the audit log and the contents of files (uploads and workspaces); change nothing
 */
export const Scope = z.enum(["admin", "agents", "sessions", "models", "work", "files", "read"]);
export type Scope = z.infer<typeof Scope>;

export const AccountName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, "must be 1-64 lower-case letters, digits, dots, hyphens and underscores");

/** Body of `POST /v1/keys`. A key expires after at most ten years; without `expires_in_seconds` only revoking ends it. */
export const KeyCreate = z.strictObject({
  name: z.string().min(1).max(256),
  scopes: z.array(Scope).min(1),
  /** Another account. Only the installation's own key may name one. */
  account: AccountName.optional(),
  expires_in_seconds: z.int().min(1).max(315_360_000).optional(),
});

/** Queries of keys and of the audit log. Only the installation's own key may name another account. */
export const AccountQuery = z.strictObject({ ...COMMON_QUERY, account: AccountName.optional() });
export const AccountPageQuery = z.strictObject({ ...PAGE_QUERY, account: AccountName.optional() });

/** A key as the API shows it. Only the answer that created it has the key itself, in `key`. */
export interface ApiKey {
  readonly type: "api_key";
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly created_at: string;
  /** Null when the key does not expire. */
  readonly expires_at: string | null;
  /** Accurate to a minute; null when the key was never used. */
  readonly last_used_at: string | null;
}

/** An entry of the audit log: a change and the key that made it. */
export interface AuditEntry {
  readonly type: "audit_entry";
  /** Position in the installation's log, as text. */
  readonly id: string;
  readonly at: string;
  readonly account: string;
  /** `admin` for the installation's own key. */
  readonly key_id: string;
  readonly action: string;
  readonly target: string;
  readonly request_id: string;
}
