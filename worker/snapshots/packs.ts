import { newId } from "@gantry/protocol/ids.ts";
import { SEAL_BYTES, hashOf } from "./keys.ts";
import type { KeyRing, PackCipher } from "./keys.ts";
import type { NewPack, ObjectLocation } from "./tables.ts";

/** Largest pack. Many small files share one, so that they cost one write to the store. */
export const PACK_BYTES = 8 * 1024 * 1024;

/** Most objects in a pack. */
const MAX_OBJECTS = 8_000;

/** Most bytes of packs that a reader holds in memory. */
const HELD_BYTES = 32 * 1024 * 1024;

const MAGIC = new TextEncoder().encode("GSP1");

/** What snapshots need of R2 and of the list that says which session holds which pack. */
export interface PackStore {
  /** Records that this session holds a pack. Call before `put`. */
  hold(pack: string): Promise<void>;
  /** Stores a pack. */
  put(pack: string, contents: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Reads a pack, or a range of it. Null: it is not in the store. */
  get(pack: string, range: { offset: number; length: number } | null): Promise<Uint8Array | null>;
  /** This session no longer holds these packs. Packs that no session holds are removed. */
  release(packs: readonly string[]): Promise<void>;
  /** Makes another session of the same account hold these packs too. This session must hold them until it returns. */
  share(to: string, packs: readonly string[]): Promise<void>;
  /** Keys of the packs that this session holds, according to the store. */
  held(): Promise<string[]>;
}

/** A stored object is missing or was changed. */
export class DamagedStore extends Error {}

/** Collects objects, seals them and stores them pack by pack. Keeps one pack in memory. */
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

  /** @param onStored called with each pack once it is stored, in order: an object's contents are listed before it. */
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

  /** Names the next pack and records that it is held, without waiting for the record. */
  begin(): { key: string; held: Promise<void> } {
    if (this.#next) return this.#next;
    // A new name for each attempt: no two packs are ever sealed under one name.
    const key = `${this.#prefix}${newId("request").slice(4)}`;
    const held = this.#store.hold(key);
    held.catch(() => {}); // `flush` waits for it
    return (this.#next = { key, held });
  }

  /** Adds an object whose hash has been checked. Stores the pack first when it is full. */
  async add(hash: string, contents: Uint8Array): Promise<void> {
    if (this.#objects.has(hash)) return;
    if (this.#bytes + contents.length > PACK_BYTES || this.#objects.size >= MAX_OBJECTS) await this.flush();
    this.#objects.set(hash, contents);
    this.#bytes += contents.length;
  }

  /** Stores the objects that wait, as one pack. */
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

/** Reads objects. Holds a few packs in memory, because neighbouring objects are read one after the other. */
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

  /**
   * Reads and checks an object. Throws `DamagedStore`, or `NoSnapshotKey` when its key is missing.
   * @param neighbours other objects of the same pack follow soon: the whole pack is read and held.
   */
  async read(hash: string, location: ObjectLocation, neighbours: boolean): Promise<Uint8Array<ArrayBuffer>> {
    const length = location.size + SEAL_BYTES;
    const range = { offset: location.at, length };
    const sealed = neighbours
      ? (await this.#whole(location)).subarray(location.at, location.at + length)
      : ((await this.#store.get(location.pack, range)) ?? missing(location.pack));
    let cipher = this.#ciphers.get(location.pack);
    if (!cipher) {
      if (this.#ciphers.size > 1_000) this.#ciphers.clear();
      this.#ciphers.set(location.pack, (cipher = this.#keys.cipher(location.keyId, location.pack)));
    }
    const opened = await (await cipher).open(hash, sealed).catch(() => null);
    if (opened === null || opened.length !== location.size || (await hashOf(opened)) !== hash)
      throw new DamagedStore(`An object of ${location.pack} is not what was stored.`);
    return opened;
  }

  #whole({ pack, packBytes }: ObjectLocation): Promise<Uint8Array> {
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

/** Identifies a pack and the key that opens it, so that a pack found on its own can be recognised. */
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
