import { z } from "zod";

/**
 * The contract of snapshots: what a session's folder holds, as entries in pages under one root, and how contents
 * travel between a runner and the session. Contents are named by their SHA-256, so what is there already is never sent.
 *
 * The sandbox is hostile by assumption: the session checks every name, size and hash itself.
 */

/** SHA-256 in base64url. */
export const Hash = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
export type Hash = z.infer<typeof Hash>;

/** Longest path in bytes, and longest target of a link, as on Linux. */
const MAX_PATH = 4096;

/** What of a session's folder is saved. The engine's part is what it needs to go on; all else it makes again. */
export const SAVED_PARTS = ["workspace", "engine/projects", "engine/tasks", "engine/file-history"] as const;

/**
 * Whether a path may stand in a snapshot: below one of the saved parts, no empty, `.` or `..` step, no NUL.
 * A byte that is no UTF-8 stands in it as U+DC80 to U+DCFF, so every name that a disk can hold has a path.
 */
export function isSavedPath(path: string): boolean {
  if (path.length > MAX_PATH || path.includes("\0")) return false;
  if (!SAVED_PARTS.some((part) => path === part || path.startsWith(`${part}/`))) return false;
  return path.split("/").every((step) => step !== "" && step !== "." && step !== "..");
}

const Path = z.string().refine(isSavedPath, "is not a path of a snapshot");
/** Microseconds since 1970: what every system can set exactly. */
const Time = z.number().int().min(-8e15).max(8e15);
const Mode = z.number().int().min(0).max(0o1777);

/**
 * Pieces of a transcript: it grows at its end with every run, and a run is not to cost a whole large piece. Of everything
 * else many pieces would only be many rows.
 */
const SMALL_PIECE_BYTES = 64 * 1024;

export const FileEntry = z.object({
  t: z.literal("f"),
  p: Path,
  m: Mode,
  n: Time,
  /** Bytes. */
  s: z.number().int().nonnegative(),
  /** Contents, in pieces: see `pieceBytes`. */
  c: z.array(Hash),
  /** Length of the pieces, where it is not the one for its size. */
  z: z.literal(SMALL_PIECE_BYTES).optional(),
});
export type FileEntry = z.infer<typeof FileEntry>;

/** Something in a saved folder: path `p`, mode `m`, time of the last change `n`. */
export const SnapshotEntry = z
  .discriminatedUnion("t", [
    FileEntry,
    z.object({ t: z.literal("d"), p: Path, m: Mode, n: Time }),
    /** A symbolic link. Its target is text: it is written down and never followed. */
    z.object({
      t: z.literal("l"),
      p: Path,
      n: Time,
      to: z
        .string()
        .min(1)
        .max(MAX_PATH)
        .refine((to) => !to.includes("\0"), "has a NUL"),
    }),
  ])
  .refine((entry) => entry.t !== "f" || entry.c.length === piecesOf(entry), "has not the pieces of its size");
export type SnapshotEntry = z.infer<typeof SnapshotEntry>;

/** Entries in the order of their paths (by UTF-16 code units, as `<` has it). */
export const SnapshotPage = z.array(SnapshotEntry).min(1);

/** Largest page and root in bytes of their JSON. */
const MAX_PAGE_BYTES = 2 * 1024 * 1024;
const MAX_ROOT_BYTES = 4 * 1024 * 1024;

/** The whole folder: its pages in order. A changed file changes its own page and this. */
export const SnapshotRoot = z.object({
  version: z.literal(1),
  entries: z.number().int().nonnegative(),
  files: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  pages: z.array(z.object({ first: Path, hash: Hash, size: z.number().int().positive().max(MAX_PAGE_BYTES) })),
});
export type SnapshotRoot = z.infer<typeof SnapshotRoot>;

/** Above this a file travels in larger pieces. */
const LARGE_FILE_BYTES = 64 * 1024 * 1024;

/** What decides how long a file's pieces are. */
type PiecesOfFile = Pick<FileEntry, "s" | "z">;

/** The length of a file's pieces, all but the last. */
export function pieceBytes({ s, z: small }: PiecesOfFile): number {
  return small ?? (s > LARGE_FILE_BYTES ? 4 * 1024 * 1024 : 1024 * 1024);
}

/** How many pieces a file has. */
export function piecesOf(file: PiecesOfFile): number {
  return Math.ceil(file.s / pieceBytes(file));
}

/** How a file is cut that is read now. */
export function cutOf(path: string, bytes: number): Pick<FileEntry, "z"> {
  return isTranscript(path) && bytes <= LARGE_FILE_BYTES ? { z: SMALL_PIECE_BYTES } : {};
}

/** Pages end after a path of which this says so: where does not depend on what comes before, so pages stay. */
export function endsPage(path: string): boolean {
  let hash = 0x811c9dc5;
  for (let at = 0; at < path.length; at++) hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  // The low bits alone mix badly.
  return ((hash ^ (hash >>> 13) ^ (hash >>> 21)) & 0xff) === 0;
}

/** Most entries of a page, and the text after which one ends whatever its paths are. */
export const MAX_PAGE_ENTRIES = 2048;
export const FULL_PAGE_CHARS = 256 * 1024;

/** What a session asks of a runner: `POST /sessions/{id}/snapshot`. */
export const ScanRequest = z.object({
  /** Names of files and folders that are left out wherever they stand in the workspace. */
  exclude: z.array(z.string()),
  maxFileBytes: z.number().int().positive(),
  maxBytes: z.number().int().positive(),
  maxEntries: z.number().int().positive(),
  /** Forget what is believed to be stored: the session lacks something that was not offered. */
  afresh: z.boolean(),
  /** What is new may come with the answer: see `Scan`. A runner that knows nothing of it answers without. */
  ahead: z.boolean().optional(),
  /** Whether the session knows of small pieces (`FileEntry.z`): one of an earlier version does not say so. */
  small: z.boolean().optional(),
});
export type ScanRequest = z.infer<typeof ScanRequest>;

/**
 * The answer: the root, to be asked for with all that is new below it at `POST .../snapshot/{scan}/objects`. Where little
 * is new and it was asked for `ahead`, the answer is frames: this in a `json` frame, and objects in `data` frames.
 */
export const Scan = z.object({
  runnerId: z.string().max(64),
  folder: z.string().max(64),
  scan: z.string().max(64),
  root: Hash,
  rootSize: z.number().int().positive().max(MAX_ROOT_BYTES),
  /** Transcripts and their lengths as this snapshot has them. */
  transcripts: z.array(z.object({ file: Path, size: z.number().int().nonnegative() })).max(10_000),
  /** Paths left out, the first of them, and why. */
  skipped: z.array(z.object({ path: z.string().max(MAX_PATH), why: z.string().max(100) })).max(20),
  skippedCount: z.number().int().nonnegative(),
  /** Files that changed while they were read, all the times: what is saved is what was read. */
  changing: z.number().int().nonnegative(),
});
export type Scan = z.infer<typeof Scan>;

export const ObjectsRequest = z.object({ hashes: z.array(Hash).min(1).max(20_000) });

/** `POST .../snapshot/{scan}/done`: the runner may forget the scan, and knows what is stored. */
export const DoneRequest = z.object({ committed: z.boolean() });

/** Refusals of a runner, as `{error, message}`. */
export const SnapshotRefusal = z.object({
  error: z.enum(["busy", "no_folder", "too_large", "changed", "unknown_scan", "bad_restore", "failed"]),
  message: z.string().max(1000),
});
export type SnapshotRefusal = z.infer<typeof SnapshotRefusal>;

/**
 * A restore is one request, `POST /sessions/{id}/restore`, whose body is a stream of frames: a `json` frame of this
 * kind, and after a file and a transcript its contents in `data` frames. Without the `end` it is torn, and the runner
 * keeps nothing of it.
 */
export const RestoreStep = z.discriminatedUnion("type", [
  z.object({ type: z.literal("entry"), entry: SnapshotEntry }),
  /** What a transcript held after the snapshot: bytes from `at` on. */
  z.object({ type: z.literal("transcript"), file: Path, at: z.number().int().nonnegative(), size: z.number().int() }),
  z.object({ type: z.literal("end"), entries: z.number().int() }),
]);
export type RestoreStep = z.infer<typeof RestoreStep>;

export const Restored = z.object({
  runnerId: z.string().max(64),
  folder: z.string().max(64),
  files: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  /** Lines of transcripts that came after the snapshot. */
  transcriptLines: z.number().int().nonnegative(),
  /** Transcripts of which a piece in the middle is missing: what came after it could not be appended. */
  gaps: z.array(z.string().max(MAX_PATH)).max(100),
});
export type Restored = z.infer<typeof Restored>;

/** Where transcripts are: only these are mirrored. */
export function isTranscript(path: string): boolean {
  return path.startsWith("engine/projects/") && path.endsWith(".jsonl") && isSavedPath(path);
}
