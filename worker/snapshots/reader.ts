import { joined } from "@gantry/protocol/bytes.ts";
import { FRAME, frameHeader, frameOf } from "@gantry/protocol/frames.ts";
import { SnapshotRoot } from "@gantry/protocol/snapshot.ts";
import type { RestoreStep, SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import { DamagedStore } from "./packs.ts";
import type { PackReader } from "./packs.ts";
import { pageOf } from "./save.ts";
import type { Snapshot, SnapshotTables } from "./tables.ts";
import type { Piece } from "./transcripts.ts";

/** Objects that are opened at once: those of a page follow each other. */
const AHEAD = 32;

/** Reads what a snapshot holds. */
export class SnapshotReader {
  readonly #tables: SnapshotTables;
  readonly #packs: PackReader;

  constructor(tables: SnapshotTables, packs: PackReader) {
    this.#tables = tables;
    this.#packs = packs;
  }

  async root(snapshot: Pick<Snapshot, "root">): Promise<SnapshotRoot> {
    return SnapshotRoot.parse(JSON.parse(new TextDecoder().decode(await this.object(snapshot.root, false))));
  }

  async page(hash: string, neighbours = true): Promise<SnapshotEntry[]> {
    return pageOf(await this.object(hash, neighbours));
  }

  /** An object by its name. Throws `DamagedStore` when it is missing or changed. */
  async object(hash: string, neighbours: boolean): Promise<Uint8Array<ArrayBuffer>> {
    const place = this.#tables.place(hash);
    if (!place) throw new DamagedStore(`No pack is known that holds ${hash}.`);
    try {
      return await this.#packs.read(hash, place, neighbours);
    } catch (error) {
      // It may have been moved to another pack just now.
      const other = this.#tables.place(hash);
      if (!other || other.pack === place.pack) throw error;
      return this.#packs.read(hash, other, neighbours);
    }
  }

  /**
   * The snapshot and what the transcripts held after it, as a runner takes it: a page's contents are in memory at most.
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
            // Whoever sends the stream says only that it could not be sent.
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
    const gathered = new Gathered();
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
        if (batch.length < AHEAD && bytes < 2 * 1024 * 1024) continue;
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

/** Small frames leave together: each piece of a stream costs a turn on both sides. */
class Gathered {
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
