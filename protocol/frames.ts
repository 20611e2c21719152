/** Frames in a stream of bytes: one byte for the kind, four for the length, then the contents. */

import { joined } from "./bytes.ts";

/** Kinds of frames. */
export const FRAME = { json: 1, data: 2 } as const;

/** Content type of an answer that consists of frames. */
export const FRAMES_TYPE = "application/octet-stream";

const HEADER_BYTES = 5;

/** The header of a frame, to be followed by its contents. */
export function frameHeader(kind: number, length: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, length);
  return header;
}

/** A whole frame in one piece. */
export function frameOf(kind: number, contents: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + contents.length);
  frame.set(frameHeader(kind, contents.length));
  frame.set(contents, HEADER_BYTES);
  return frame;
}

/** The stream does not consist of frames, or it broke off inside one. */
export class TornFrames extends Error {}

/** Reads frames in order. A frame's bytes are valid until the next frame is read. Throws `TornFrames`. */
export async function* readFrames(
  stream: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<{ kind: number; bytes: Uint8Array }> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  let needed = HEADER_BYTES;
  let kind: number | null = null;
  for await (const piece of stream) {
    if (piece.length === 0) continue;
    pieces.push(piece);
    held += piece.length;
    if (held < needed) continue;
    const buffer = pieces.length === 1 ? piece : joined(pieces);
    let at = 0;
    while (buffer.length - at >= needed) {
      const part = buffer.subarray(at, at + needed);
      at += needed;
      if (kind === null) {
        const view = new DataView(part.buffer, part.byteOffset, part.length);
        kind = view.getUint8(0);
        needed = view.getUint32(1);
        if (needed > maxBytes) throw new TornFrames(`a frame has ${needed} bytes; at most ${maxBytes} are allowed`);
      } else {
        yield { kind, bytes: part };
        kind = null;
        needed = HEADER_BYTES;
      }
    }
    held = buffer.length - at;
    pieces = held > 0 ? [buffer.subarray(at)] : [];
  }
  if (held > 0 || kind !== null) throw new TornFrames("the stream broke off inside a frame");
}
