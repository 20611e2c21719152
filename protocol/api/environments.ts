import { z } from "zod";
import { Metadata, MetadataPatch, PAGE_QUERY, QueryFlag } from "./common.ts";

/** Bodies and queries of `/v1/environments`, with the names of Managed Agents. */

const AllowedHost = z
  .string()
  .regex(/^(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:\d{1,5})?$/i, "must be a host name, without scheme or path");

const Networking = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("unrestricted") }),
  z.strictObject({
    type: z.literal("limited"),
    allow_mcp_servers: z.boolean().nullish(),
    allow_package_managers: z.boolean().nullish(),
    allowed_hosts: z.array(AllowedHost).max(256).nullish(),
  }),
]);
export type NetworkingParams = z.infer<typeof Networking>;

/** A package in its manager's notation, such as `pandas==2.2.0`. It must not begin with a hyphen, which would be a flag. */
const Package = z.string().regex(/^[^\s-]\S{0,213}$/, "must be the name of a package, without spaces");
const Names = z.array(Package).max(256).nullish();
const Packages = z.strictObject({
  type: z.literal("packages").optional(),
  apt: Names,
  cargo: Names,
  gem: Names,
  go: Names,
  npm: Names,
  pip: Names,
});
export type PackagesParams = z.infer<typeof Packages>;

const Config = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("cloud"), networking: Networking.nullish(), packages: Packages.nullish() }),
  z.strictObject({ type: z.literal("self_hosted") }),
]);
export type ConfigParams = z.infer<typeof Config>;

const Name = z.string().min(1).max(256);
const Description = z.string().max(2048);
const Visibility = z.enum(["organization", "account"]);

/** Metadata key that sets how many minutes an environment's idle engines wait for a prompt. */
const SLEEP_AFTER = "sleep_after_minutes";
const SAYS_SLEEP_AFTER = { error: "must be a number of minutes, from 0.01 to 35000", path: [SLEEP_AFTER] };

/** Milliseconds after which an environment's idle engine is stopped; undefined when its metadata does not set it. */
export function sleepAfterMsOf(metadata: Readonly<Record<string, string | null>>): number | undefined {
  const text = metadata[SLEEP_AFTER];
  return text === undefined || text === null ? undefined : Math.round(Number(text || Number.NaN) * 60_000);
}

function saysSleepAfter(metadata: Readonly<Record<string, string | null>>): boolean {
  const ms = sleepAfterMsOf(metadata);
  return ms === undefined || (ms >= 600 && ms <= 35_000 * 60_000);
}

export const EnvironmentCreate = z.strictObject({
  name: Name,
  config: Config.nullish(),
  description: Description.nullish(),
  metadata: Metadata.refine(saysSleepAfter, SAYS_SLEEP_AFTER).optional(),
  scope: Visibility.nullish(),
});
export type EnvironmentCreate = z.infer<typeof EnvironmentCreate>;

/** An absent field stays unchanged. In metadata, null or an empty text removes a key. */
export const EnvironmentUpdate = z.strictObject({
  name: Name.nullish(),
  config: Config.nullish(),
  description: Description.nullish(),
  metadata: MetadataPatch.refine(saysSleepAfter, SAYS_SLEEP_AFTER).optional(),
  scope: Visibility.nullish(),
});
export type EnvironmentUpdate = z.infer<typeof EnvironmentUpdate>;

export const EnvironmentListQuery = z.strictObject({ ...PAGE_QUERY, include_archived: QueryFlag.optional() });
