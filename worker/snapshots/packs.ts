import { newId } from "@gantry/protocol/ids.ts";
import { SEAL_BYTES, hashOf } from "./keys.ts";
import type { KeyRing, PackCipher } from "./keys.ts";
import type { NewPack, Place } from "./tables.ts";

/** Objects gather in a pack up to this size: one write to the store for many small files. */
export const PACK_BYTES = 8 * 1024 * 1024;

/** Most objects of a pack. */
const MAX_OBJECTS = 8_000;

/** Packs held while a snapshot is read in the order in which it was written. */
const HELD_BYTES = 32 * 1024 * 1024;

const MAGIC = new TextEncoder().encode("GSP1");

/** The store: what snapshots need of R2, and of the list of who holds which pack. */
export interface PackStore {
  /** Says that this session holds a pack, before there is one. */
  hold(pack: string): Promise<void>;
  put(pack: string, contents: Uint8Array<ArrayBuffer>): Promise<void>;
  get(pack: string, range: { offset: number; length: number } | null): Promise<Uint8Array | null>;
  /** This session no longer holds these packs. Those that nobody holds are removed. */
  release(packs: readonly string[]): Promise<void>;
  /** Another session of the same account holds these packs too. This one must keep them until then. */
  share(to: string, packs: readonly string[]): Promise<void>;
  /** Packs that this session holds as far as the store knows. */
  held(): Promise<string[]>;
}

/** Something that is stored is not there, or was changed. */
export class DamagedStore extends Error {}

/** Gathers objects, seals them and stores them pack by pack. Keeps one pack in memory. */
export class PackWriter {
  readonly #store: PackStore;
  readonly #keys: KeyRing;
  readonly #prefix: string;
  readonly #onStored: (pack: NewPack) => void;
  #objects = new Map<string, Uint8Array>();
  #bytes = 0;
  #next: { key: string; held: Promise<void> } | null = null;
  /** Bytes given to the store so far, sealed. */
  stored = 0;

  /** @param onStored is told of each pack once it is stored; in order, so what an object needs is known before it. */
  constructor(store: PackStore, keys: KeyRing, prefix: string, onStored: (pack: NewPack) => void) {
    this.#store = store;
    this.#keys = keys;
    this.#prefix = prefix;
    this.#onStored = onStored;
  }

  /** Whether an object waits to be stored. */
  holds(hash: string): boolean {
    return this.#objects.has(hash);
  }

  /** Names the next pack and says that it is held, without waiting for it. */
  begin(): { key: string; held: Promise<void> } {
    if (this.#next) return this.#next;
    // A new name for each try: nothing is ever sealed twice under one name.
    const key = `${this.#prefix}${newId("request").slice(4)}`;
    const held = this.#store.hold(key);
    held.catch(() => {}); // whoever stores the pack waits for it
    return (this.#next = { key, held });
  }

  /** Takes an object whose name has been checked. */
  async add(hash: string, contents: Uint8Array): Promise<void> {
    if (this.#objects.has(hash)) return;
    if (this.#bytes + contents.length > PACK_BYTES || this.#objects.size >= MAX_OBJECTS) await this.flush();
    this.#objects.set(hash, contents);
    this.#bytes += contents.length;
  }

  async flush(): Promise<void> {
    if (this.#objects.size === 0) return;
    const keyId = this.#keys.current;
    const { key, held } = this.begin();
    this.#next = null;
    const cipher = await this.#keys.cipher(keyId, key);
    const header = packHeader(keyId);
    const pack = new Uint8Array(header.length + this.#bytes + this.#objects.size * SEAL_BYTES);
    pack.set(header);
    let at = header.length;
    const objects: { hash: string; at: number; size: number }[] = [];
    for (const [hash, contents] of this.#objects) {
      pack.set(await cipher.seal(hash, contents), at);
      objects.push({ hash, at, size: contents.length });
      at += contents.length + SEAL_BYTES;
    }
    await held;
    await this.#store.put(key, pack);
    this.#onStored({ key, keyId, bytes: pack.length, objects });
    this.stored += pack.length;
    this.#objects = new Map();
    this.#bytes = 0;
  }
}

/** Reads objects. Holds a few packs, because neighbours are asked for one after the other. */
export class PackReader {
  readonly #store: PackStore;
  readonly #keys: KeyRing;
  readonly #ciphers = new Map<string, Promise<PackCipher>>();
  readonly #held = new Map<string, { contents: Promise<Uint8Array>; bytes: number }>();
  #heldBytes = 0;

  constructor(store: PackStore, keys: KeyRing) {
    this.#store = store;
    this.#keys = keys;
  }

  /** @param neighbours whether others of the same pack follow soon: then the pack is read as a whole and held. */
  async read(hash: string, place: Place, neighbours: boolean): Promise<Uint8Array<ArrayBuffer>> {
    const length = place.size + SEAL_BYTES;
    const range = { offset: place.at, length };
    const sealed = neighbours
      ? (await this.#whole(place)).subarray(place.at, place.at + length)
      : ((await this.#store.get(place.pack, range)) ?? missing(place.pack));
    let cipher = this.#ciphers.get(place.pack);
    if (!cipher) {
      if (this.#ciphers.size > 1_000) this.#ciphers.clear();
      this.#ciphers.set(place.pack, (cipher = this.#keys.cipher(place.keyId, place.pack)));
    }
    const opened = await (await cipher).open(hash, sealed).catch(() => null);
    if (opened === null || opened.length !== place.size || (await hashOf(opened)) !== hash)
      throw new DamagedStore(`An object of ${place.pack} is not what was stored.`);
    return opened;
  }

  #whole({ pack, packBytes }: Place): Promise<Uint8Array> {
    const held = this.#held.get(pack);
    if (held) {
      this.#held.delete(pack);
      this.#held.set(pack, held);
      return held.contents;
    }
    for (const [oldest, { bytes }] of this.#held) {
      if (this.#heldBytes + packBytes <= HELD_BYTES) break;
      this.#held.delete(oldest);
      this.#heldBytes -= bytes;
    }
    const contents = this.#store.get(pack, null).then((bytes) => bytes ?? missing(pack));
    this.#held.set(pack, { contents, bytes: packBytes });
    this.#heldBytes += packBytes;
    return contents;
  }
}

/** Says what it is and which key opens it, for whoever finds a pack alone. */
function packHeader(keyId: string): Uint8Array {
  const id = new TextEncoder().encode(keyId);
  const header = new Uint8Array(MAGIC.length + 1 + id.length);
  header.set(MAGIC);
  header[MAGIC.length] = id.length;
  header.set(id, MAGIC.length + 1);
  return header;
}

function missing(pack: string): never {
  throw new DamagedStore(`${pack} is not in the store.`);
}
