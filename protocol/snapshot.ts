import { z } from "zod";

/**
 * The contract of snapshots. A snapshot describes a session's folder as entries, in pages under one root. Contents travel
 * between a runner and the session by their SHA-256, so stored contents are never sent again.
 *
 * The sandbox is assumed hostile: the session checks every name, size and hash itself.
 */

/** SHA-256 in base64url. */
export const Hash = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
export type Hash = z.infer<typeof Hash>;

/** Longest path in bytes, and longest target of a link, as on Linux. */
const MAX_PATH = 4096;

/** The saved parts of a session's folder. Of the engine's files only those are saved that it needs to continue. */
export const SAVED_PARTS = ["workspace", "engine/projects", "engine/tasks", "engine/file-history"] as const;

/**
 * Whether a snapshot may contain a path: it is one of the saved parts or below one, without empty, `.` or `..` names and
 * without NUL. Bytes that are not UTF-8 are written as U+DC80 to U+DCFF, so every name on a disk has a path.
 */
export function isSavedPath(path: string): boolean {
  if (path.length > MAX_PATH || path.includes("\0")) return false;
  if (!SAVED_PARTS.some((part) => path === part || path.startsWith(`${part}/`))) return false;
  return path.split("/").every((step) => step !== "" && step !== "." && step !== "..");
}

const Path = z.string().refine(isSavedPath, "is not a path of a snapshot");
/** Microseconds since 1970, a precision that every system can set. */
const Time = z.number().int().min(-8e15).max(8e15);
const Mode = z.number().int().min(0).max(0o1777);

/**
 * Length of a transcript's pieces. A transcript grows at its end with every run, which must not cost a whole large piece.
 * Other files keep large pieces, because small ones would only mean more rows.
 */
const SMALL_PIECE_BYTES = 64 * 1024;

/** A file: path `p`, mode `m`, time of the last change `n`. */
export const FileEntry = z.object({
  t: z.literal("f"),
  p: Path,
  m: Mode,
  n: Time,
  /** Size in bytes. */
  s: z.number().int().nonnegative(),
  /** Hashes of the pieces: see `pieceBytes`. */
  c: z.array(Hash),
  /** Length of the pieces, when it differs from the default for the size. */
  z: z.literal(SMALL_PIECE_BYTES).optional(),
});
export type FileEntry = z.infer<typeof FileEntry>;

/** An entry of a saved folder: a file, a directory or a symbolic link. */
export const SnapshotEntry = z
  .discriminatedUnion("t", [
    FileEntry,
    z.object({ t: z.literal("d"), p: Path, m: Mode, n: Time }),
    /** A symbolic link. Its target is only text, which is never followed. */
    z.object({
      t: z.literal("l"),
      p: Path,
      n: Time,
      to: z
        .string()
        .min(1)
        .max(MAX_PATH)
        .refine((to) => !to.includes("\0"), "must not contain NUL"),
    }),
  ])
  .refine(
    (entry) => entry.t !== "f" || entry.c.length === piecesOf(entry),
    "does not have as many pieces as its size needs",
  );
export type SnapshotEntry = z.infer<typeof SnapshotEntry>;

/** Entries in the order of their paths, compared by UTF-16 code units as `<` does. */
export const SnapshotPage = z.array(SnapshotEntry).min(1);

/** Largest page and largest root, in bytes of their JSON. */
const MAX_PAGE_BYTES = 2 * 1024 * 1024;
const MAX_ROOT_BYTES = 4 * 1024 * 1024;

/** The root of a snapshot: its pages in order. A changed file changes only its page and the root. */
export const SnapshotRoot = z.object({
  version: z.literal(1),
  entries: z.number().int().nonnegative(),
  files: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  pages: z.array(z.object({ first: Path, hash: Hash, size: z.number().int().positive().max(MAX_PAGE_BYTES) })),
});
export type SnapshotRoot = z.infer<typeof SnapshotRoot>;

/** Files above this size in bytes have larger pieces. */
const LARGE_FILE_BYTES = 64 * 1024 * 1024;

/** The fields that determine the length of a file's pieces. */
type PiecesOfFile = Pick<FileEntry, "s" | "z">;

/** Length in bytes of all pieces of a file except the last. */
export function pieceBytes({ s, z: small }: PiecesOfFile): number {
  return small ?? (s > LARGE_FILE_BYTES ? 4 * 1024 * 1024 : 1024 * 1024);
}

/** Number of pieces of a file. */
export function piecesOf(file: PiecesOfFile): number {
  return Math.ceil(file.s / pieceBytes(file));
}

/** The `z` field for a file that is read now: small pieces for transcripts, none for other files. */
export function cutOf(path: string, bytes: number): Pick<FileEntry, "z"> {
  return isTranscript(path) && bytes <= LARGE_FILE_BYTES ? { z: SMALL_PIECE_BYTES } : {};
}

/**
 * Whether a page ends after this path. The answer depends on the path alone, so a change in one page leaves the boundaries
 * of all others in place.
 */
export function endsPage(path: string): boolean {
  let hash = 0x811c9dc5;
  for (let at = 0; at < path.length; at++) hash = Math.imul(hash ^ path.charCodeAt(at), 0x01000193);
  // The low bits alone mix badly.
  return ((hash ^ (hash >>> 13) ^ (hash >>> 21)) & 0xff) === 0;
}

/** Most entries of a page. */
export const MAX_PAGE_ENTRIES = 2048;

/** Length of a page's JSON, in UTF-16 code units, after which it ends regardless of its paths. */
export const FULL_PAGE_CHARS = 256 * 1024;

/** Body of the runner's `POST /sessions/{id}/snapshot`. */
export const ScanRequest = z.object({
  /** Names of files and folders to leave out at any depth of the workspace. */
  exclude: z.array(z.string()),
  maxFileBytes: z.number().int().positive(),
  maxBytes: z.number().int().positive(),
  maxEntries: z.number().int().positive(),
  /** The runner must forget which objects it believes stored, because the session lacks some that it did not offer. */
  afresh: z.boolean(),
  /** New objects may come with the answer: see `Scan`. A runner of an earlier version ignores this. */
  ahead: z.boolean().optional(),
  /** The session supports small pieces (`FileEntry.z`). Sessions of earlier versions do not send this. */
  small: z.boolean().optional(),
});
export type ScanRequest = z.infer<typeof ScanRequest>;

/**
 * The answer to a `ScanRequest`. The session fetches the root and the new objects below it from
 * `POST .../snapshot/{scan}/objects`. When little is new and the request had `ahead`, the answer consists of frames: this
 * object in a `json` frame, then the new objects in `data` frames.
 */
export const Scan = z.object({
  runnerId: z.string().max(64),
  folder: z.string().max(64),
  scan: z.string().max(64),
  root: Hash,
  rootSize: z.number().int().positive().max(MAX_ROOT_BYTES),
  /** Transcripts with their sizes in this snapshot, in bytes. */
  transcripts: z.array(z.object({ file: Path, size: z.number().int().nonnegative() })).max(10_000),
  /** The first paths that were left out, and why. */
  skipped: z.array(z.object({ path: z.string().max(MAX_PATH), why: z.string().max(100) })).max(20),
  skippedCount: z.number().int().nonnegative(),
  /** Number of files that changed during every attempt to read them. They are saved as they were read. */
  changing: z.number().int().nonnegative(),
});
export type Scan = z.infer<typeof Scan>;

/** Body of `POST .../snapshot/{scan}/objects`. */
export const ObjectsRequest = z.object({ hashes: z.array(Hash).min(1).max(20_000) });

/** Body of `POST .../snapshot/{scan}/done`. The runner may forget the scan, and learns whether its objects are stored. */
export const DoneRequest = z.object({ committed: z.boolean() });

/** Body of a runner's refusal. */
export const SnapshotRefusal = z.object({
  error: z.enum(["busy", "no_folder", "too_large", "changed", "unknown_scan", "bad_restore", "failed"]),
  message: z.string().max(1000),
});
export type SnapshotRefusal = z.infer<typeof SnapshotRefusal>;

/**
 * A step of a restore. A restore is one request, `POST /sessions/{id}/restore`, whose body is a stream of frames: each step
 * is a `json` frame, and the contents of a file or a transcript follow it in `data` frames. A stream without the step
 * `end` is incomplete, and the runner discards it.
 */
export const RestoreStep = z.discriminatedUnion("type", [
  z.object({ type: z.literal("entry"), entry: SnapshotEntry }),
  /** Bytes that a transcript gained after the snapshot, to append at offset `at`. */
  z.object({ type: z.literal("transcript"), file: Path, at: z.number().int().nonnegative(), size: z.number().int() }),
  z.object({ type: z.literal("end"), entries: z.number().int() }),
]);
export type RestoreStep = z.infer<typeof RestoreStep>;

/** The answer to a restore. */
export const Restored = z.object({
  runnerId: z.string().max(64),
  folder: z.string().max(64),
  files: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  /** Number of appended lines of transcripts that are newer than the snapshot. */
  transcriptLines: z.number().int().nonnegative(),
  /** Transcripts with a missing piece in the middle. Anything after the gap could not be appended. */
  gaps: z.array(z.string().max(MAX_PATH)).max(100),
});
export type Restored = z.infer<typeof Restored>;

/** Whether a path is a transcript of the engine. Only transcripts are mirrored. */
export function isTranscript(path: string): boolean {
  return path.startsWith("engine/projects/") && path.endsWith(".jsonl") && isSavedPath(path);
}
