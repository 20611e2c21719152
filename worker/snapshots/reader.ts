import { joined } from "@gantry/protocol/bytes.ts";
import { FRAME, frameHeader, frameOf } from "@gantry/protocol/frames.ts";
import { SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { RestoreStep, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import { DamagedStore } from "./packs.ts";
import type { PackReader } from "./packs.ts";
import { pageOf } from "./save.ts";
import type { Snapshot, SnapshotTables } from "./tables.ts";
import type { Piece } from "./transcripts.ts";

/** Most entries whose contents are read at the same time. */
const AT_ONCE = 32;

/** Reads the contents of snapshots. All methods throw `DamagedStore` when an object is missing or changed. */
export class SnapshotReader {
  readonly #tables: SnapshotTables;
  readonly #packs: PackReader;

  constructor(tables: SnapshotTables, packs: PackReader) {
    this.#tables = tables;
    this.#packs = packs;
  }

  /** The root of a snapshot: the list of its pages. */
  async root(snapshot: Pick<Snapshot, "root">): Promise<SnapshotRoot> {
    return SnapshotRoot.parse(JSON.parse(new TextDecoder().decode(await this.object(snapshot.root, false))));
  }

  /** The entries of a page. `neighbours` as in `PackReader.read`. */
  async page(hash: string, neighbours = true): Promise<SnapshotEntry[]> {
    return pageOf(await this.object(hash, neighbours));
  }

  /** An object by its hash. `neighbours` as in `PackReader.read`. */
  async object(hash: string, neighbours: boolean): Promise<Uint8Array<ArrayBuffer>> {
    const location = this.#tables.locate(hash);
    if (!location) throw new DamagedStore(`No known pack holds ${hash}.`);
    try {
      return await this.#packs.read(hash, location, neighbours);
    } catch (error) {
      // Garbage collection may just have moved it to another pack.
      const other = this.#tables.locate(hash);
      if (!other || other.pack === location.pack) throw error;
      return this.#packs.read(hash, other, neighbours);
    }
  }

  /**
   * A snapshot and the transcripts' later lines, in the form that a runner restores. Holds the contents of one page at
   * most. `onError` gets the cause when reading fails.
   */
  stream(
    root: SnapshotRoot | null,
    transcripts: Iterable<Piece>,
    onError: (error: unknown) => void,
  ): ReadableStream<Uint8Array> {
    const frames = this.#frames(root, transcripts);
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          try {
            const next = await frames.next();
            if (next.done) controller.close();
            else controller.enqueue(next.value);
          } catch (error) {
            // The sender of the stream reports only that sending failed, not why.
            onError(error);
            throw error;
          }
        },
        async cancel() {
          await frames.return(undefined);
        },
      },
      { highWaterMark: 0 },
    );
  }

  async *#frames(root: SnapshotRoot | null, transcripts: Iterable<Piece>): AsyncGenerator<Uint8Array> {
    const gathered = new FrameBuffer();
    let entries = 0;
    for await (const some of this.#batches(root)) {
      const contents = await Promise.all(some.map(({ entry, small }) => this.#contents(entry, small)));
      for (const [index, { entry }] of some.entries()) {
        entries += 1;
        gathered.add(stepFrame({ type: "entry", entry }));
        const small = contents[index];
        if (small) for (const piece of small) gathered.add(frameHeader(FRAME.data, piece.length), piece);
        else if (entry.t === "f")
          for (const hash of entry.c) {
            const piece = await this.object(hash, true);
            gathered.add(frameHeader(FRAME.data, piece.length), piece);
            if (gathered.full) yield gathered.take();
          }
        if (gathered.full) yield gathered.take();
      }
    }
    for (const { file, at, bytes, data } of transcripts) {
      gathered.add(stepFrame({ type: "transcript", file, at, size: bytes }));
      gathered.add(frameOf(FRAME.data, new TextEncoder().encode(data)));
      if (gathered.full) yield gathered.take();
    }
    gathered.add(stepFrame({ type: "end", entries }));
    yield gathered.take();
  }

  async *#batches(root: SnapshotRoot | null): AsyncGenerator<{ entry: SnapshotEntry; small: boolean }[]> {
    let batch: { entry: SnapshotEntry; small: boolean }[] = [];
    let bytes = 0;
    for (const { hash } of root?.pages ?? []) {
      for (const entry of await this.page(hash)) {
        const small = entry.t === "f" && entry.c.length === 1 && entry.s <= 256 * 1024;
        batch.push({ entry, small });
        bytes += small ? entry.s : 0;
        if (batch.length < AT_ONCE && bytes < 2 * 1024 * 1024) continue;
        yield batch;
        batch = [];
        bytes = 0;
      }
    }
    if (batch.length > 0) yield batch;
  }

  async #contents(entry: SnapshotEntry, small: boolean): Promise<Uint8Array[] | null> {
    return small && entry.t === "f" ? Promise.all(entry.c.map((hash) => this.object(hash, true))) : null;
  }
}

function stepFrame(step: RestoreStep): Uint8Array {
  return frameOf(FRAME.json, new TextEncoder().encode(JSON.stringify(step)));
}

/** Joins small frames: each chunk of a stream costs a turn on both sides. */
class FrameBuffer {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  add(...pieces: Uint8Array[]): void {
    for (const piece of pieces) {
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
  }

  get full(): boolean {
    return this.#bytes > 256 * 1024;
  }

  take(): Uint8Array {
    const whole = joined(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    return whole;
  }
}
