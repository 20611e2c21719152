import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  futimesSync,
  fchmodSync,
  fstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { Buffer } from "node:buffer";
import { FRAME, TornFrames, readFrames } from "@gantry/protocol/frames.ts";
import { parseJsonWithin } from "@gantry/protocol/json-limits.ts";
import { RestoreStep, SAVED_PARTS, isTranscript, pieceBytes } from "@gantry/protocol/snapshot.ts";
import type { FileEntry, Restored, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import type { FolderRoots } from "../folders/session-folders.ts";
import { diskPathOf, textToPath } from "./paths.ts";
import { Refused, codeOf } from "./refused.ts";

const SAVED: ReadonlySet<string> = new Set(SAVED_PARTS);

/** Largest frame, in bytes: a piece of a file, or an entry with all its hashes. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/**
 * Writes the files of the stream into the session's folders, which must be empty. Nothing is written through a link: only
 * folders that the stream names are created, and links are created last. Throws `Refused`.
 */
export async function restore(
  roots: FolderRoots,
  stream: AsyncIterable<Uint8Array>,
): Promise<Omit<Restored, "runnerId" | "folder">> {
  try {
    const writer = new Writer(roots);
    for await (const { kind, bytes } of readFrames(stream, MAX_FRAME_BYTES)) {
      if (kind === FRAME.data) writer.data(bytes);
      else if (kind === FRAME.json)
        writer.step(RestoreStep.parse(parseJsonWithin(Buffer.from(bytes).toString("utf8"))));
      else throw new Refused("bad_restore", `Unknown frame kind ${kind}.`);
    }
    return writer.end();
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Refused(error instanceof TornFrames ? "bad_restore" : "failed", codeOf(error).slice(0, 900));
  }
}

interface OpenFile {
  readonly entry: FileEntry;
  readonly fd: number;
  piece: number;
  written: number;
}

/** Carries out the steps of a restore, in order. */
class Writer {
  readonly #roots: FolderRoots;
  readonly #links: Extract<SnapshotEntry, { t: "l" }>[] = [];
  readonly #folders: Extract<SnapshotEntry, { t: "d" }>[] = [];
  #file: OpenFile | null = null;
  #transcript: { file: string; at: number; left: number } | null = null;
  #entries = 0;
  #files = 0;
  #bytes = 0;
  #lines = 0;
  #ended = false;
  readonly #gaps = new Set<string>();

  constructor(roots: FolderRoots) {
    this.#roots = roots;
  }

  step(step: RestoreStep): void {
    if (this.#file || this.#transcript || this.#ended)
      throw new Refused("bad_restore", "A step came before the one before it was complete.");
    switch (step.type) {
      case "entry":
        this.#entries += 1;
        return this.#entry(step.entry);
      case "transcript":
        if (!isTranscript(step.file)) throw new Refused("bad_restore", `${step.file} is not a transcript.`);
        if (step.size > 0) this.#transcript = { file: step.file, at: step.at, left: step.size };
        return;
      case "end":
        if (step.entries !== this.#entries)
          throw new Refused("bad_restore", `${this.#entries} of ${step.entries} entries arrived.`);
        this.#ended = true;
        return;
      default:
        step satisfies never;
    }
  }

  data(bytes: Uint8Array): void {
    if (this.#transcript) return this.#append(bytes);
    const file = this.#file;
    if (!file) throw new Refused("bad_restore", "Contents arrived without a file.");
    const expected = Math.min(pieceBytes(file.entry), file.entry.s - file.written);
    const hash = createHash("sha256").update(bytes).digest("base64url");
    if (bytes.length !== expected || hash !== file.entry.c[file.piece])
      throw new Refused("bad_restore", `${file.entry.p}: the contents differ from the snapshot.`);
    writeWhole(file.fd, bytes, file.written);
    file.written += bytes.length;
    file.piece += 1;
    if (file.piece === file.entry.c.length) this.#close(file);
  }

  /** After the last step: creates the links, and sets times and modes of folders, innermost first. */
  end(): Omit<Restored, "runnerId" | "folder"> {
    if (!this.#ended) throw new Refused("bad_restore", "The restore ended early.");
    for (const link of this.#links) {
      const path = this.#path(link.p);
      symlinkSync(textToPath(link.to), path);
      lutimesSync(path, seconds(link.n), seconds(link.n));
    }
    for (const folder of this.#folders.toReversed()) {
      const path = this.#path(folder.p);
      chmodSync(path, folder.m);
      utimesSync(path, seconds(folder.n), seconds(folder.n));
    }
    return {
      files: this.#files,
      bytes: this.#bytes,
      transcriptLines: this.#lines,
      gaps: [...this.#gaps].slice(0, 100),
    };
  }

  #entry(entry: SnapshotEntry): void {
    switch (entry.t) {
      case "l":
        this.#links.push(entry);
        return;
      case "d":
        // The saved parts exist already. Any other folder must be new; `mkdir` fails if the snapshot names one twice.
        if (!SAVED.has(entry.p) || !existsSync(this.#path(entry.p))) mkdirSync(this.#path(entry.p), 0o700);
        this.#folders.push(entry);
        return;
      case "f": {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const file = { entry, fd: openSync(this.#path(entry.p), flags, 0o600), piece: 0, written: 0 };
        this.#file = file;
        if (entry.c.length === 0) this.#close(file);
        return;
      }
      default:
        entry satisfies never;
    }
  }

  #close(file: OpenFile): void {
    fchmodSync(file.fd, file.entry.m);
    futimesSync(file.fd, seconds(file.entry.n), seconds(file.entry.n));
    closeSync(file.fd);
    this.#file = null;
    this.#files += 1;
    this.#bytes += file.written;
  }

  /** Appends to a transcript the bytes it does not have yet. A transcript with a gap gets nothing more. */
  #append(bytes: Uint8Array): void {
    const { file, at, left } = this.#transcript ?? { file: "", at: 0, left: 0 };
    if (bytes.length > left) throw new Refused("bad_restore", `${file}: more arrived than was announced.`);
    this.#transcript = left > bytes.length ? { file, at: at + bytes.length, left: left - bytes.length } : null;
    if (this.#gaps.has(file)) return;
    this.#makeParents(file);
    const fd = openSync(this.#path(file), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      const { size } = fstatSync(fd);
      if (size < at) {
        this.#gaps.add(file);
        return;
      }
      const news = bytes.subarray(size - at);
      if (news.length === 0) return;
      writeWhole(fd, news, size);
      this.#lines += news.reduce((lines, byte) => lines + (byte === 10 ? 1 : 0), 0);
    } finally {
      closeSync(fd);
    }
  }

  /** Creates folders of a transcript that are missing in the snapshot. */
  #makeParents(file: string): void {
    const steps = file.split("/").slice(0, -1);
    for (let count = 2; count <= steps.length; count++) {
      const folder = this.#path(steps.slice(0, count).join("/"));
      if (!existsSync(folder)) mkdirSync(folder, 0o700);
    }
  }

  #path(path: string): string | Buffer {
    return diskPathOf(this.#roots, path);
  }
}

function writeWhole(fd: number, bytes: Uint8Array, at: number): void {
  for (let written = 0; written < bytes.length;)
    written += writeSync(fd, bytes, written, bytes.length - written, at + written);
}

/** Seconds, as the system calls take them. A double of this size is exact to a quarter of a microsecond. */
function seconds(micros: number): number {
  return micros / 1_000_000;
}
