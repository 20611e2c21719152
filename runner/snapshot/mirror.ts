import { closeSync, constants, existsSync, openSync, readSync, readdirSync, statSync } from "node:fs";
import { Buffer, isUtf8 } from "node:buffer";
import { every } from "../base/guarded.ts";
import { isTranscript } from "@gantry/protocol/snapshot.ts";

/** Largest piece that is sent at once. */
const PIECE_BYTES = 128 * 1024;

/** Time between two checks. The engine writes a line some tens of milliseconds after it reported the message. */
const LOOK_MS = 250;

/** A piece of a transcript: text of `file` from byte `at` on. With `at` 0 the file starts over. */
export interface TranscriptPiece {
  readonly file: string;
  readonly at: number;
  readonly data: string;
}

/**
 * Follows the engine's transcripts during a run and sends what is new. The files themselves are the buffer: after a lost
 * link it continues from the position that the session reports.
 */
export class Mirror {
  readonly #base: string;
  readonly #send: (piece: TranscriptPiece) => void;
  #sent = new Map<string, number>();
  #timer: NodeJS.Timeout | null = null;

  /** @param base the session's folder; see `FolderRoots`. */
  constructor(base: string, send: (piece: TranscriptPiece) => void) {
    this.#base = base;
    this.#send = send;
  }

  /** Continues from what the session has: bytes by transcript. */
  resume(ends: Readonly<Record<string, number>>): void {
    this.#sent = new Map(Object.entries(ends));
  }

  /** Begins to follow. */
  start(): void {
    this.#timer ??= every("mirror", LOOK_MS, () => this.look()).unref();
  }

  /** Sends what is left and stops following. */
  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.look();
  }

  /** Sends what was written since the last check. */
  look(): void {
    for (const file of this.#files()) {
      try {
        this.#follow(file);
      } catch {
        // Removed or unreadable. The next check, or the snapshot, will have it.
      }
    }
  }

  #follow(file: string): void {
    const path = `${this.#base}/${file}`;
    const { size } = statSync(path);
    let at = this.#sent.get(file) ?? 0;
    if (size < at) at = 0; // the file was rewritten
    if (size === at) return;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const buffer = Buffer.allocUnsafe(PIECE_BYTES);
      while (at < size) {
        const got = readSync(fd, buffer, 0, Math.min(PIECE_BYTES, size - at), at);
        const whole = wholeLetters(buffer.subarray(0, got));
        if (whole.length === 0 || !isUtf8(whole)) break;
        this.#send({ file, at, data: whole.toString("utf8") });
        at += whole.length;
        this.#sent.set(file, at);
      }
    } finally {
      closeSync(fd);
    }
  }

  #files(): string[] {
    const root = "engine/projects";
    if (!existsSync(`${this.#base}/${root}`)) return [];
    return readdirSync(`${this.#base}/${root}`, { recursive: true, withFileTypes: true, encoding: "utf8" })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath.slice(this.#base.length + 1)}/${entry.name}`)
      .filter((path) => isTranscript(path) && path.isWellFormed());
  }
}

/** The bytes without an incomplete UTF-8 letter at their end. */
function wholeLetters(bytes: Buffer): Buffer {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? bytes.subarray(0, bytes.length - back) : bytes;
    }
  }
  return bytes;
}
