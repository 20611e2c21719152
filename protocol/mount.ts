import { z } from "zod";

/** Path of a mount: in the workspace or under `/mnt`, made of names that every file system accepts. */
export const MountPath = z
  .string()
  .max(1024)
  .regex(/^\/(workspace|mnt)\//, "must begin with /workspace/ or /mnt/")
  .refine((path) => {
    const names = path.split("/").slice(1);
    return names.every((name) => name !== "" && name !== "." && name !== ".." && byteLength(name) <= 255);
  }, "must be an absolute path without empty names, `.` and `..`")
  .refine((path) => !/\p{Cc}|\\/u.test(path), "must not hold control characters or backslashes")
  .refine((path) => !path.split("/").some((name) => name.toLowerCase() === ".git"), "must not lie in a .git folder");

function byteLength(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

/**
 * A file or a repository that the runner mounts before a run begins. `path` is the path that the API shows, under
 * `/workspace` or `/mnt`. The runner fetches contents and clones from the Worker with the session's token, so no
 * credential of a repository ever reaches the sandbox.
 */
export const Mount = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("file"),
    id: z.string(),
    path: MountPath,
    fileId: z.string(),
    filename: z.string(),
    size: z.number().int().nonnegative(),
  }),
  z.object({
    type: z.literal("repository"),
    id: z.string(),
    path: MountPath,
    url: z.string(),
    checkout: z
      .discriminatedUnion("type", [
        z.object({ type: z.literal("branch"), name: z.string() }),
        z.object({ type: z.literal("commit"), sha: z.string() }),
      ])
      .nullable(),
  }),
]);
export type Mount = z.infer<typeof Mount>;
