import { fromBase64Url, joined, toBase64Url } from "@gantry/protocol/bytes.ts";

/** Encryption of snapshots: a ring of keys by id. The first key seals; all of them open. */

/** Bytes that sealing adds to an object: the nonce and the tag. */
export const SEAL_BYTES = 28;

const NONCE_BYTES = 12;

/** Thrown when there is no key, or the key that sealed an object is missing. */
export class NoSnapshotKey extends Error {}

/** Seals and opens the objects of one pack. The pack has its own key, derived from one of the ring. */
export interface PackCipher {
  /** Encrypts an object under its name. The result is `SEAL_BYTES` longer. */
  seal(name: string, contents: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /** Throws when the object was changed, or does not have that name in this pack. */
  open(name: string, sealed: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Reads `id:key,id:key`, as `worker/storage/seal.ts` does; a key is 32 bytes in base64. The constructor throws
 * `NoSnapshotKey` for text of another form; no text gives a ring without keys.
 */
export class KeyRing {
  readonly #keys = new Map<string, Promise<CryptoKey>>();
  readonly #first: string | null = null;

  constructor(text: string | undefined) {
    for (const part of (text ?? "").split(",").map((piece) => piece.trim())) {
      if (part === "") continue;
      const match = /^([\w-]{1,32}):([\w+/=-]{43,44})$/.exec(part);
      if (!match?.[1] || !match[2])
        throw new NoSnapshotKey("GANTRY_ENCRYPTION_KEY must be a list of id:key, each key 32 bytes in base64.");
      const bytes = fromBase64Url(match[2]);
      const key = crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]);
      this.#first ??= match[1];
      this.#keys.set(match[1], key);
    }
  }

  /** Id of the key that seals. Throws `NoSnapshotKey` when there is none. */
  get current(): string {
    if (this.#first === null) throw new NoSnapshotKey("GANTRY_ENCRYPTION_KEY is not set, so files cannot be saved.");
    return this.#first;
  }

  /**
   * The cipher of a pack. The pack's name is part of its key, and both the pack's and the object's name are
   * authenticated: an object opens only under the names it was sealed for. Throws `NoSnapshotKey` for an unknown `keyId`.
   */
  async cipher(keyId: string, pack: string): Promise<PackCipher> {
    const master = this.#keys.get(keyId);
    if (!master) throw new NoSnapshotKey(`GANTRY_ENCRYPTION_KEY has no key ${JSON.stringify(keyId)}.`);
    const encoder = new TextEncoder();
    const key = await crypto.subtle.deriveKey(
      { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: encoder.encode(`gantry snapshot ${pack}`) },
      await master,
      { name: "AES-GCM", length: 256 },
      false,
      ["encrypt", "decrypt"],
    );
    const context = (name: string): Uint8Array<ArrayBuffer> => new Uint8Array(encoder.encode(`${pack}#${name}`));
    return {
      async seal(name, contents) {
        const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
        const sealed = await crypto.subtle.encrypt(
          { name: "AES-GCM", iv, additionalData: context(name) },
          key,
          contents as Uint8Array<ArrayBuffer>,
        );
        return joined([iv, new Uint8Array(sealed)]);
      },
      async open(name, sealed) {
        const iv = sealed.slice(0, NONCE_BYTES);
        const body = sealed.slice(NONCE_BYTES);
        return new Uint8Array(
          await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: context(name) }, key, body),
        );
      },
    };
  }
}

/** SHA-256 in base64url: the name of an object. */
export async function hashOf(contents: Uint8Array): Promise<string> {
  return toBase64Url(await crypto.subtle.digest("SHA-256", contents as Uint8Array<ArrayBuffer>));
}
