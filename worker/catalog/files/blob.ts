import { toHex } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";

/** Largest file. */
export const MAX_FILE_BYTES = 500 * 1024 * 1024;

/** What is sent to R2 at once: parts of one upload must be equally long, and at least 5 MiB. */
const PART_BYTES = 8 * 1024 * 1024;

/**
 * Streams contents into an object, holding one part at a time. When it throws there is no object.
 */
export async function writeBlob(
  bucket: R2Bucket,
  key: string,
  contents: AsyncIterable<Uint8Array>,
): Promise<{ size: number; sha256: string }> {
  const hasher = new crypto.DigestStream("SHA-256");
  // Asked for only at the end; when that is never reached nobody else would hear of it.
  hasher.digest.catch(() => {});
  const hash = hasher.getWriter();
  const parts: R2UploadedPart[] = [];
  let upload: R2MultipartUpload | null = null;
  let part = new Uint8Array(64 * 1024);
  let filled = 0;
  let size = 0;
  try {
    for await (const chunk of contents) {
      size += chunk.byteLength;
      if (size > MAX_FILE_BYTES) throw new RequestRefused({ code: "body_too_large", maxBytes: MAX_FILE_BYTES });
      await hash.write(chunk);
      for (let at = 0; at < chunk.length;) {
        const piece = chunk.subarray(at, at + PART_BYTES - filled);
        part = withRoom(part, filled + piece.length);
        part.set(piece, filled);
        filled += piece.length;
        at += piece.length;
        if (filled === PART_BYTES) {
          upload ??= await bucket.createMultipartUpload(key);
          parts.push(await upload.uploadPart(parts.length + 1, part.subarray(0, filled)));
          filled = 0;
        }
      }
    }
    await hash.close();
    const sha256 = toHex(await hasher.digest);
    if (upload === null) {
      await bucket.put(key, part.subarray(0, filled));
      return { size, sha256 };
    }
    if (filled > 0) parts.push(await upload.uploadPart(parts.length + 1, part.subarray(0, filled)));
    await upload.complete(parts);
    return { size, sha256 };
  } catch (error) {
    await upload?.abort();
    await hash.abort(error).catch(() => {});
    throw error;
  }
}

/**
 * Contents of an object, a part at a time as the reader takes them: one `get` for the whole runs ahead of a slow reader
 * (measured: a file of 300 MB takes 330 MB of memory more, by parts 100). Breaks off when the object goes away meanwhile.
 */
export function readBlob(bucket: R2Bucket, key: string, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (at >= size) return controller.close();
        const range = { offset: at, length: Math.min(PART_BYTES, size - at) };
        const object = await bucket.get(key, { range });
        if (object === null) throw new Error(`${key} is gone`);
        const bytes = new Uint8Array(await object.arrayBuffer());
        at += bytes.length;
        controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A buffer that holds `needed` bytes: twice as large each time, at most one part. */
function withRoom(buffer: Uint8Array<ArrayBuffer>, needed: number): Uint8Array<ArrayBuffer> {
  if (needed <= buffer.length) return buffer;
  const larger = new Uint8Array(Math.min(Math.max(needed, buffer.length * 2), PART_BYTES));
  larger.set(buffer);
  return larger;
}
