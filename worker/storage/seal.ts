import { fromBase64Url, toBase64Url } from "@gantry/protocol/bytes.ts";
import type { Env } from "../base/env.ts";

/**
 * A key that encrypts secrets at rest, with AES-256-GCM. A sealed text is `v1.<key id>.<nonce>.<ciphertext>`. It opens
 * only for the purpose it was sealed for (`what`), so a copy in another row is worthless.
 *
 * `GANTRY_ENCRYPTION_KEY` is a comma-separated list of keys, each `id:base64` of 32 bytes. The first key seals, all of
 * them open. To rotate the key, put the new one first.
 */
interface Key {
  readonly id: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Whether this installation has a key to seal secrets with. */
export function canSeal(env: Pick<Env, "GANTRY_ENCRYPTION_KEY">): boolean {
  return keysOf(env).length > 0;
}

/** Encrypts a secret for the purpose `what`. Throws when there is no key; check `canSeal` first. */
export async function seal(env: Pick<Env, "GANTRY_ENCRYPTION_KEY">, what: string, secret: string): Promise<string> {
  const key = keysOf(env)[0];
  if (!key) throw new Error("GANTRY_ENCRYPTION_KEY is not set or not valid");
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv: nonce, additionalData: aboutOf(key.id, what) },
    await importKey(key, "encrypt"),
    new TextEncoder().encode(secret),
  );
  return ["v1", key.id, toBase64Url(nonce), toBase64Url(sealed)].join(".");
}

/** Decrypts a sealed text. Throws when its key is missing, the text was changed, or it was sealed for another purpose. */
export async function unseal(env: Pick<Env, "GANTRY_ENCRYPTION_KEY">, what: string, sealed: string): Promise<string> {
  const [version, id = "", nonce = "", ciphertext = ""] = sealed.split(".");
  const key = keysOf(env).find((each) => each.id === id);
  if (version !== "v1" || !key) throw new Error(`there is no key ${JSON.stringify(id)} in GANTRY_ENCRYPTION_KEY`);
  const opened = await crypto.subtle.decrypt(
    { name: "AES-GCM", iv: fromBase64Url(nonce), additionalData: aboutOf(id, what) },
    await importKey(key, "decrypt"),
    fromBase64Url(ciphertext),
  );
  return new TextDecoder().decode(opened);
}

function keysOf(env: Pick<Env, "GANTRY_ENCRYPTION_KEY">): Key[] {
  return (env.GANTRY_ENCRYPTION_KEY ?? "").split(",").flatMap((entry) => {
    const [, id, base64] = /^\s*([\w-]{1,32}):([\w+/=-]{43,44})\s*$/.exec(entry) ?? [];
    if (id === undefined || base64 === undefined) return [];
    const bytes = fromBase64Url(base64);
    return bytes.length === 32 ? [{ id, bytes }] : [];
  });
}

function aboutOf(id: string, what: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(`v1|${id}|${what}`));
}

function importKey(key: Key, usage: "encrypt" | "decrypt"): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", key.bytes, "AES-GCM", false, [usage]);
}
