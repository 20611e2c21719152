import { toHex } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { boundaryOf, readParts } from "../../catalog/files/multipart.ts";
import type { Part } from "../../catalog/files/multipart.ts";
import type { App } from "./context.ts";

/**
 * What a form says, as one text: names, file names, types and contents in their order. Not the body as it was sent:
 * clients choose a new boundary each time.
 */
export class FormHash {
  readonly #stream = new crypto.DigestStream("SHA-256");
  readonly #writer = this.#stream.getWriter();

  constructor() {
    // Asked for only at the end; when that is never reached nobody else would hear of it.
    this.#stream.digest.catch(() => {});
  }

  /** The parts as they pass. */
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

  async digest(): Promise<string> {
    await this.#writer.close();
    return toHex(await this.#stream.digest);
  }
}

/** Fingerprint of a form that is not to be carried out again: read to its end and thrown away. */
export async function formFingerprint(c: Context<App>, place: string): Promise<string> {
  const body = c.req.raw.body;
  if (body === null) throw new RequestRefused({ code: "invalid_request", field: "file", reason: "is required" });
  const hash = new FormHash();
  const boundary = boundaryOf(c.req.header("content-type") ?? null);
  const bytes: AsyncIterable<Uint8Array> = body.values({ preventCancel: true });
  for await (const part of hash.over(readParts(bytes, boundary))) for await (const _chunk of part.body);
  return `${place} ${await hash.digest()}`;
}
