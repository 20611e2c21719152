import { z } from "zod";
import { Metadata, MetadataPatch, PAGE_QUERY, QueryFlag } from "./common.ts";

/** Bodies and queries of `/v1/vaults`, with the names of Managed Agents. No answer ever contains a secret. */

const DisplayName = z.string().min(1).max(255);
const Secret = z.string().regex(/^[\x21-\x7e]{1,8192}$/, "must be 1-8192 printable ASCII characters without spaces");
const ServerUrl = z.url({ protocol: /^https?$/ }).max(2048);
const Later = z.iso.datetime({ offset: true }).refine((text) => Date.parse(text) > Date.now(), "must be in the future");

export const VaultCreate = z.strictObject({ display_name: DisplayName, metadata: Metadata.optional() });
export type VaultCreate = z.infer<typeof VaultCreate>;

export const VaultUpdate = z.strictObject({
  display_name: DisplayName.nullish(),
  metadata: MetadataPatch.nullish(),
});
export type VaultUpdate = z.infer<typeof VaultUpdate>;

export const VaultListQuery = z.strictObject({ ...PAGE_QUERY, include_archived: QueryFlag.optional() });

/** `refresh` and credentials for environment variables are not supported yet. They are refused by name. */
export const CredentialCreate = z.strictObject({
  auth: z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("static_bearer"), mcp_server_url: ServerUrl, token: Secret }),
    z.strictObject({
      type: z.literal("mcp_oauth"),
      mcp_server_url: ServerUrl,
      access_token: Secret,
      expires_at: Later.nullish(),
      refresh: z.null("is not supported yet; leave it out").optional(),
    }),
  ]),
  display_name: DisplayName.nullish(),
  metadata: Metadata.optional(),
});
export type CredentialCreate = z.infer<typeof CredentialCreate>;

export const CredentialUpdate = z.strictObject({
  auth: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("static_bearer"), token: Secret.nullish() }),
      z.strictObject({
        type: z.literal("mcp_oauth"),
        access_token: Secret.nullish(),
        expires_at: Later.nullish(),
        refresh: z.null("is not supported yet; leave it out").optional(),
      }),
    ])
    .optional(),
  display_name: DisplayName.nullish(),
  metadata: MetadataPatch.nullish(),
});
export type CredentialUpdate = z.infer<typeof CredentialUpdate>;
