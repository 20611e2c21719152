import type { Mount } from "@gantry/protocol/mount.ts";

/** A file or repository of one session. */
export interface SessionResource {
  readonly mount: Mount;
  /** Sealed credential of a repository (`worker/storage/seal.ts`); null without one. Only the git door gets it. */
  readonly secret: string | null;
  /** Milliseconds since 1970, as is `updatedAt`. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A change to the resources of a session: add one, replace the sealed credential of one, remove one. */
export type ResourceChange =
  | { readonly type: "add"; readonly resource: SessionResource }
  | { readonly type: "credential"; readonly id: string; readonly secret: string }
  | { readonly type: "remove"; readonly id: string };
