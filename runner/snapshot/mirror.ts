import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { Buffer, isUtf8 } from "node:buffer";
import { READ_FLAGS, filesBelow } from "../folders/read-bounded.ts";
import { every } from "../base/guarded.ts";
import { isTranscript } from "@gantry/protocol/snapshot.ts";

/** Largest piece that is sent at once. */
const PIECE_BYTES = 128 * 1024;

/** Time between two checks. The engine writes a line some tens of milliseconds after it reported the message. */
const LOOK_MS = 250;

/** How much one check sends: other sessions wait meanwhile, and the socket keeps what its reader has not taken. */
const LOOK_BYTES = 1024 * 1024;
/** How much is sent at once where the conversation may move to another engine. */
const CATCH_UP_BYTES = 8 * 1024 * 1024;
/** A transcript is followed up to this size. The snapshot has the rest. */
const MAX_FILE_BYTES = 128 * 1024 * 1024;
/** How many transcripts are followed, and how deep their folders lie. */
const MAX_FILES = 500;
const MAX_DEPTH = 8;

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
    this.catchUp();
  }

  /** Sends more than a check does, so that another engine can continue the conversation. */
  catchUp(): void {
    this.look(CATCH_UP_BYTES);
  }

  /** Sends what was written since the last check, up to `room` bytes. Never throws. */
  look(room: number = LOOK_BYTES): void {
    let left = room;
    for (const file of this.#files()) {
      if (left <= 0) return;
      try {
        left -= this.#follow(file, left);
      } catch {
        // Removed or unreadable. The next check, or the snapshot, will have it.
      }
    }
  }

  /** Sends at most about `room` bytes of a transcript. Returns how many it sent. */
  #follow(file: string, room: number): number {
    const fd = openSync(`${this.#base}/${file}`, READ_FLAGS);
    try {
      const stats = fstatSync(fd);
      if (!stats.isFile()) return 0;
      const size = Math.min(stats.size, MAX_FILE_BYTES);
      const sent = this.#sent.get(file) ?? 0;
      let at = stats.size < sent ? 0 : sent; // shorter: the file was rewritten
      const from = at;
      const buffer = Buffer.allocUnsafe(PIECE_BYTES);
      while (at < size && at - from < room) {
        const got = readSync(fd, buffer, 0, Math.min(PIECE_BYTES, size - at), at);
        const whole = wholeLetters(buffer.subarray(0, got));
        // The engine writes no zero bytes, but a sparse file consists of them.
        if (whole.length === 0 || whole.includes(0) || !isUtf8(whole)) break;
        this.#send({ file, at, data: whole.toString("utf8") });
        at += whole.length;
        this.#sent.set(file, at);
      }
      return at - from;
    } finally {
      closeSync(fd);
    }
  }

  #files(): string[] {
    try {
      return filesBelow(`${this.#base}/engine/projects`, MAX_FILES, MAX_DEPTH)
        .map((path) => path.slice(this.#base.length + 1))
        .filter((path) => isTranscript(path) && path.isWellFormed());
    } catch {
      return []; // no conversation yet, or the agent put something else there
    }
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
