import type { SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import { pathOf, tagOf } from "./tree.ts";

/** A file, folder or link as the API shows it. */
export interface WorkspaceEntry {
  /** Below the workspace. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink";
  /** Bytes; null except for files. */
  readonly size: number | null;
  /** Octal, as `chmod` takes it; null for links. */
  readonly mode: string | null;
  /** ISO 8601. */
  readonly modified_at: string;
  /** What a link points to; null for anything else. */
  readonly target: string | null;
  /** Names the contents of a file; null for anything else. */
  readonly etag: string | null;
}

/** An entry of a snapshot in the API's shape. */
export async function toEntry(entry: SnapshotEntry): Promise<WorkspaceEntry> {
  const common = { path: pathOf(entry) ?? "", modified_at: new Date(entry.n / 1000).toISOString() };
  switch (entry.t) {
    case "f": {
      const [mode, etag] = [entry.m.toString(8), await tagOf(entry)];
      return { ...common, type: "file", size: entry.s, mode, target: null, etag };
    }
    case "d":
      return { ...common, type: "directory", size: null, mode: entry.m.toString(8), target: null, etag: null };
    case "l":
      return { ...common, type: "symlink", size: null, mode: null, target: entry.to, etag: null };
  }
}
