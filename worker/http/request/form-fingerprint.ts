import { toHex } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { boundaryOf, readParts } from "../../catalog/files/multipart.ts";
import type { Part } from "../../catalog/files/multipart.ts";
import type { App } from "./context.ts";

/**
 * Hashes a form: the names, file names, types and contents of its parts, in order. The raw body would not do, because
 * clients choose a new boundary each time.
 */
export class FormHash {
  readonly #stream = new crypto.DigestStream("SHA-256");
  readonly #writer = this.#stream.getWriter();

  constructor() {
    // `digest()` awaits this only at the end of the form. Until then a failure would be an unhandled rejection.
    this.#stream.digest.catch(() => {});
  }

  /** Passes the parts on and hashes them on the way. */
  async *over(parts: AsyncIterable<Part>): AsyncGenerator<Part> {
    for await (const part of parts) {
      await this.#add(JSON.stringify([part.name, part.filename, part.contentType]));
      yield { ...part, body: this.#contents(part.body) };
    }
  }

  async *#contents(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      await this.#writer.write(chunk);
      yield chunk;
    }
    await this.#add("\0end\0");
  }

  async #add(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text));
  }

  /** SHA-256 in hexadecimal. Call it once, after all parts were read. */
  async digest(): Promise<string> {
    await this.#writer.close();
    return toHex(await this.#stream.digest);
  }
}

/** Fingerprint of a repeated form, whose contents are read and discarded. `target` is method, path and query. */
export async function formFingerprint(c: Context<App>, target: string): Promise<string> {
  const body = c.req.raw.body;
  if (body === null) throw new RequestRefused({ code: "invalid_request", field: "file", reason: "is required" });
  const hash = new FormHash();
  const boundary = boundaryOf(c.req.header("content-type") ?? null);
  const bytes: AsyncIterable<Uint8Array> = body.values({ preventCancel: true });
  for await (const part of hash.over(readParts(bytes, boundary))) for await (const _chunk of part.body);
  return `${target} ${await hash.digest()}`;
}
