import { z } from "zod";
import { COMMON_QUERY, PAGE_QUERY } from "./common.ts";

/**
 * What a key opens. Each request needs one of the scopes its route lists (`worker/http/routes/routes.ts`).
 *
 * - `admin`: everything of its account, keys and the audit log included
 * - `agents`: create and change agents and environments
 * - `sessions`: start, prompt, steer and delete sessions
 * - `models`: call models through the router
 * - `work`: take the work of self-hosted environments and carry out its tool calls: the key of a worker
 * - `files`: upload, download and delete files
 * - `read`: look at everything but keys, the audit log and the contents of files; change nothing
 */
export const Scope = z.enum(["admin", "agents", "sessions", "models", "work", "files", "read"]);
export type Scope = z.infer<typeof Scope>;

export const AccountName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, "1-64 small letters, digits, dots, hyphens and underscores");

/** Body of `POST /v1/keys`. Without `expires_in_seconds` a key holds until it is revoked; at most ten years. */
export const KeyCreate = z.strictObject({
  name: z.string().min(1).max(256),
  scopes: z.array(Scope).min(1),
  /** Of another account: with the installation's own key only. */
  account: AccountName.optional(),
  expires_in_seconds: z.int().min(1).max(315_360_000).optional(),
});

/** Key and audit lists: of another account with the installation's own key only. */
export const AccountQuery = z.strictObject({ ...COMMON_QUERY, account: AccountName.optional() });
export const AccountPageQuery = z.strictObject({ ...PAGE_QUERY, account: AccountName.optional() });

/** A key as it is shown. The key itself is shown once, in `key` of the answer that made it. */
export interface ApiKey {
  readonly type: "api_key";
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly created_at: string;
  /** Null: it does not expire. */
  readonly expires_at: string | null;
  /** To the minute. Null: never. */
  readonly last_used_at: string | null;
}

/** A change that was made, by whom. */
export interface AuditEntry {
  readonly type: "audit_entry";
  /** Position in the log of the whole installation, as text. */
  readonly id: string;
  readonly at: string;
  readonly account: string;
  /** `admin` for the installation's own key. */
  readonly key_id: string;
  readonly action: string;
  readonly target: string;
  readonly request_id: string;
}
