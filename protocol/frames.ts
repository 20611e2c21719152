/** Frames in a stream of bytes: one byte of kind, four of length, the contents. */

import { joined } from "./bytes.ts";

export const FRAME = { json: 1, data: 2 } as const;

/** How an answer says that it is made of them. */
export const FRAMES_TYPE = "application/octet-stream";

const HEADER_BYTES = 5;

/** The header of a frame; its contents follow. */
export function frameHeader(kind: number, length: number): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, length);
  return header;
}

/** A frame as one piece. */
export function frameOf(kind: number, contents: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + contents.length);
  frame.set(frameHeader(kind, contents.length));
  frame.set(contents, HEADER_BYTES);
  return frame;
}

/** A stream that is not made of frames, or breaks off inside one. */
export class TornFrames extends Error {}

/** Reads frames one after the other. A frame's bytes are good until the next one is asked for. */
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
        if (needed > maxBytes) throw new TornFrames(`a frame of ${needed} bytes; ${maxBytes} are the most`);
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
