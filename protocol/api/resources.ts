import { z } from "zod";
import { MountPath } from "../mount.ts";
import { PAGE_QUERY } from "./common.ts";

/** Files and repositories of a session, with the names of Managed Agents. */

export const FileResource = z.strictObject({
  type: z.literal("file"),
  file_id: z.string(),
  mount_path: MountPath.nullish(),
});

/** A name that git accepts as a branch and that no shell or option parser misreads. */
const Branch = z
  .string()
  .regex(/^[\w][\w./+@-]{0,254}$/, "must be the name of a branch")
  .refine((name) => !/\.\.|@\{|\/\/|\/\.|\.lock(\/|$)|[./]$/.test(name), "must be the name of a branch");

const Checkout = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("branch"), name: Branch }),
  z.strictObject({
    type: z.literal("commit"),
    sha: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/i, "must be a full commit id"),
  }),
]);
export type Checkout = z.infer<typeof Checkout>;

/** A credential. It must be valid in an HTTP header. */
const AuthorizationToken = z.string().regex(/^[\x21-\x7e]{1,4096}$/, "must be printable ASCII without spaces");

export const RepositoryResource = z.strictObject({
  type: z.literal("github_repository"),
  url: z.string().max(2048),
  authorization_token: AuthorizationToken.optional(),
  checkout: Checkout.nullish(),
  mount_path: MountPath.nullish(),
});

export const ResourceParams = z.discriminatedUnion("type", [FileResource, RepositoryResource]);
export type ResourceParams = z.infer<typeof ResourceParams>;

/** Most resources of a session. */
export const MAX_RESOURCES = 100;

export const ResourceList = z.array(ResourceParams).max(MAX_RESOURCES);

/** Body of `POST /v1/sessions/{id}/resources/{resource}`: only a credential can be changed. */
export const ResourceUpdate = z.strictObject({ authorization_token: AuthorizationToken });

export const ResourceListQuery = z.strictObject(PAGE_QUERY);
