import { ZipWriter, configure } from "@zip.js/zip.js/lib/zip-core-custom.js";
import type { SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import { pathOf } from "./tree.ts";
import type { Tree } from "./tree.ts";

// A Cloudflare Worker has no threads, but a built-in compressor.
configure({ useWebWorkers: false, useCompressionStream: true });

/** Kinds of file in a Unix mode. */
const FOLDER = 0o040000;
const FILE = 0o100000;
const LINK = 0o120000;

/** Milliseconds after which other requests get a turn: many small files are made without a wait for storage. */
const TURN_MS = 20;

/** Compressing fewer bytes than this costs more than it saves. */
const WORTH_COMPRESSING = 64;

/**
 * A folder of a saved workspace as a zip file, made while it is read. It keeps modes, links, empty folders, times and
 * the bytes of names. A stream that breaks off is not a valid zip file, because the table of contents comes last.
 */
export function archive(tree: Tree, folder: string): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  void write(tree, folder, writable).catch((error: unknown) => writable.abort(error).catch(() => {}));
  return readable;
}

async function write(tree: Tree, folder: string, writable: WritableStream<Uint8Array>): Promise<void> {
  const zip = new ZipWriter(writable, { encodeText: bytesOf, keepOrder: true, extendedTimestamp: true });
  let turnBegan = Date.now();
  for await (const entry of tree.list(folder, true)) {
    await add(zip, tree, entry);
    if (Date.now() - turnBegan < TURN_MS) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    turnBegan = Date.now();
  }
  await zip.close();
}

async function add(zip: ZipWriter<unknown>, tree: Tree, entry: SnapshotEntry): Promise<void> {
  const path = pathOf(entry);
  if (path === null) return;
  const lastModDate = new Date(entry.n / 1000);
  switch (entry.t) {
    case "d":
      await zip.add(`${path}/`, undefined, { directory: true, lastModDate, unixMode: FOLDER | entry.m });
      return;
    case "l":
      await zip.add(path, new Blob([bytesOf(entry.to)]).stream(), { lastModDate, unixMode: LINK | 0o777, level: 0 });
      return;
    case "f":
      await zip.add(path, tree.contents(entry), {
        lastModDate,
        unixMode: FILE | entry.m,
        zip64: entry.s >= 0xffffffff,
        ...(entry.s < WORTH_COMPRESSING ? { level: 0 } : {}),
      });
      return;
    default:
      entry satisfies never;
  }
}

/** A name as it was on disk: U+DC80 to U+DCFF stand for bytes that are not UTF-8. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const bytes: number[] = [];
  for (const letter of text) {
    const code = letter.charCodeAt(0);
    if (letter.length === 1 && code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
    else bytes.push(...encoder.encode(letter));
  }
  return new Uint8Array(bytes);
}
