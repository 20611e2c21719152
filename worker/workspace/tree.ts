import { pieceBytes } from "@gantry/protocol/snapshot.ts";
import type { FileEntry, SnapshotEntry, SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { SnapshotReader } from "../snapshots/reader.ts";
import { hashOf } from "../snapshots/keys.ts";

/** The part of a snapshot that belongs to the user. Paths in the API are relative to it. */
const WORKSPACE = "workspace";

/** An entry's path in the API; null for the workspace itself and for entries outside it. */
export function pathOf(entry: SnapshotEntry): string | null {
  return entry.p.startsWith(`${WORKSPACE}/`) ? entry.p.slice(WORKSPACE.length + 1) : null;
}

/** The tag of a file's contents: equal contents have equal tags, regardless of path and time. */
export async function tagOf(entry: FileEntry): Promise<string> {
  const [only] = entry.c;
  return entry.c.length === 1 && only ? only : hashOf(new TextEncoder().encode(`${entry.s}:${entry.c.join(",")}`));
}

/** A saved workspace. Reads no more of the snapshot than a call needs. Methods throw what `SnapshotReader` throws. */
export class Tree {
  readonly #reader: SnapshotReader;
  readonly #root: SnapshotRoot;

  constructor(reader: SnapshotReader, root: SnapshotRoot) {
    this.#reader = reader;
    this.#root = root;
  }

  /** The entry at a path; "" is the workspace itself. Null when there is none. */
  async find(path: string): Promise<SnapshotEntry | null> {
    const wanted = path === "" ? WORKSPACE : `${WORKSPACE}/${path}`;
    for await (const entry of this.#from(wanted)) return entry.p === wanted ? entry : null;
    return null;
  }

  /**
   * The contents of a folder, sorted by path: its children, or with `deep` everything below it. `after` continues a long
   * list after that path of the workspace.
   */
  async *list(folder: string, deep: boolean, after?: string): AsyncGenerator<SnapshotEntry> {
    const inside = folder === "" ? `${WORKSPACE}/` : `${WORKSPACE}/${folder}/`;
    const past = after === undefined ? "" : `${WORKSPACE}/${after}`;
    let from: string | null = past > inside ? past : inside;
    while (from !== null) {
      const begin: string = from;
      from = null;
      for await (const entry of this.#from(begin)) {
        if (!entry.p.startsWith(inside)) return;
        const below = entry.p.indexOf("/", inside.length);
        if (!deep && below !== -1) {
          // Skip the folder's contents: "0" is the character after "/".
          from = `${entry.p.slice(0, below)}0`;
          break;
        }
        if (entry.p > past) yield entry;
      }
    }
  }

  /** The bytes of a file from `from` (inclusive) to `to` (exclusive). Holds one piece in memory at a time. */
  contents(entry: FileEntry, from = 0, to = entry.s): ReadableStream<Uint8Array> {
    const pieces = this.#pieces(entry, from, to);
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const piece = await pieces.next();
          if (piece.done) controller.close();
          else controller.enqueue(piece.value);
        },
        async cancel() {
          await pieces.return(undefined);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** A whole file, in memory: only for small ones. */
  async bytes(entry: FileEntry): Promise<Uint8Array> {
    return new Response(this.contents(entry)).bytes();
  }

  async *#pieces(entry: FileEntry, from: number, to: number): AsyncGenerator<Uint8Array> {
    const length = pieceBytes(entry);
    for (let index = Math.floor(from / length); index < entry.c.length && index * length < to; index++) {
      const piece = await this.#reader.object(entry.c[index] ?? "", true);
      const begin = index * length;
      yield piece.subarray(Math.max(0, from - begin), Math.min(piece.length, to - begin));
    }
  }

  /** Entries from a path on, in order. */
  async *#from(path: string): AsyncGenerator<SnapshotEntry> {
    const { pages } = this.#root;
    // Find the last page that begins at or before the path.
    let [low, high] = [0, pages.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((pages[middle]?.first ?? "") <= path) low = middle + 1;
      else high = middle;
    }
    for (const page of pages.slice(Math.max(0, low - 1)))
      for (const entry of await this.#reader.page(page.hash)) if (entry.p >= path) yield entry;
  }
}
