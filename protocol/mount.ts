import { z } from "zod";

/** Path of a mount in `/workspace` or `/mnt`. Every file system must accept its names. */
export const MountPath = z
  .string()
  .max(1024)
  .regex(/^\/(workspace|mnt)\//, "must begin with /workspace/ or /mnt/")
  .refine((path) => {
    const names = path.split("/").slice(1);
    return names.every((name) => name !== "" && name !== "." && name !== ".." && byteLength(name) <= 255);
  }, "must be an absolute path without empty names, `.` and `..`")
  .refine((path) => !/\p{Cc}|\\/u.test(path), "must not contain control characters or backslashes")
  .refine((path) => !path.split("/").some((name) => name.toLowerCase() === ".git"), "must not be in a .git folder");

function byteLength(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

/**
 * A file or repository that the runner mounts before a run begins. `path` is the path that the API shows. The runner
 * fetches files and repositories through the Worker with the session's token, so a repository's credential never reaches
 * the sandbox.
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
