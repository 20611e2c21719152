import { RequestRefused } from "@gantry/protocol/error.ts";

/**
 * One part of a `multipart/form-data` body. Bodies are read as a stream, so that a file of hundreds of megabytes never
 * fills memory. (The runtime's own `formData()` holds everything.)
 */
export interface Part {
  /** Name of the field. */
  readonly name: string;
  /** Name of the file; null for a plain field. */
  readonly filename: string | null;
  readonly contentType: string | null;
  /** May be left unread: the rest is skipped before the next part. */
  readonly body: AsyncGenerator<Uint8Array>;
}

/** Largest header block of a part, and largest plain field. */
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_FIELD_BYTES = 64 * 1024;

/** The boundary in a content type. Throws `RequestRefused` for any type but `multipart/form-data`. */
export function boundaryOf(contentType: string | null): string {
  const match =
    /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70})(?=\s*(?:;|$)))/i.exec(
      contentType ?? "",
    );
  const boundary = match?.[1] ?? match?.[2];
  if (boundary !== undefined) return boundary;
  throw refused("must be multipart/form-data with a boundary, and the file in the field `file`");
}

/**
 * The parts of a body, in order. Throws `RequestRefused` when the body is malformed or ends too early. A caller that
 * stops early releases the stream.
 */
export async function* readParts(stream: AsyncIterable<Uint8Array>, boundary: string): AsyncGenerator<Part> {
  const source = new Source(stream);
  try {
    yield* partsOf(source, boundary);
  } finally {
    await source.close();
  }
}

async function* partsOf(source: Source, boundary: string): AsyncGenerator<Part> {
  const delimiter = encoder.encode(`\r\n--${boundary}`);
  // The first delimiter needs no line end before it.
  source.unread(encoder.encode("\r\n"));
  for await (const _preamble of source.until(delimiter)); // skipped
  for (;;) {
    const end = await source.line(MAX_HEADER_BYTES);
    if (end.trim() === "--") return;
    if (end.trim() !== "") throw refused("has a boundary that goes on");
    const headers = await readHeaders(source);
    const disposition = headers.get("content-disposition") ?? "";
    const name = parameter(disposition, "name");
    if (!/^form-data\b/i.test(disposition) || name === null) throw refused("has a part without a name");
    const body = source.until(delimiter);
    yield {
      name,
      filename: parameter(disposition, "filename"),
      contentType: headers.get("content-type") ?? null,
      body,
    };
    for await (const _rest of body); // what the caller left unread
  }
}

/** The text of a plain field. Throws `RequestRefused` when it is not UTF-8 or too long. */
export async function fieldText(part: Part): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let text = "";
  let size = 0;
  try {
    for await (const chunk of part.body) {
      size += chunk.byteLength;
      if (size <= MAX_FIELD_BYTES) text += decoder.decode(chunk, { stream: true });
    }
    text += decoder.decode();
  } catch (error) {
    if (error instanceof RequestRefused) throw error;
    throw refused(`is not UTF-8 in the field ${JSON.stringify(part.name)}`);
  }
  if (size > MAX_FIELD_BYTES)
    throw refused(`has more than ${MAX_FIELD_BYTES} bytes in the field ${JSON.stringify(part.name)}`);
  return text;
}

const encoder = new TextEncoder();

function refused(reason: string): RequestRefused {
  return new RequestRefused({ code: "invalid_request", field: "body", reason });
}

async function readHeaders(source: Source): Promise<Map<string, string>> {
  const headers = new Map<string, string>();
  for (let size = 0; ;) {
    const line = await source.line(MAX_HEADER_BYTES);
    if (line === "") return headers;
    size += line.length;
    if (size > MAX_HEADER_BYTES) throw refused("has a part with too long headers");
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
}

/** A parameter of a content disposition. Clients write a quote in a name as %22, or with a backslash. */
function parameter(disposition: string, name: string): string | null {
  const extended = new RegExp(`;\\s*${name}\\*=utf-8''([^;\\s]+)`, "i").exec(disposition)?.[1];
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended);
    } catch {
      throw refused(`has a part with a broken ${name}`);
    }
  }
  const match = new RegExp(`;\\s*${name}=(?:"((?:\\\\.|[^"\\\\])*)"|([^;\\s]+))`, "i").exec(disposition);
  if (match === null) return null;
  return (match[1]?.replaceAll(/\\(["\\])/g, "$1") ?? match[2] ?? "").replaceAll("%22", '"');
}

/** The body's bytes that are not consumed yet. */
class Source {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Releases the stream. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  unread(bytes: Uint8Array): void {
    this.#rest = concat(bytes, this.#rest);
  }

  /** Yields the bytes before `delimiter`, and consumes the delimiter. Only one such generator may be active. */
  async *until(delimiter: Uint8Array): AsyncGenerator<Uint8Array> {
    for (;;) {
      const at = indexOf(this.#rest, delimiter);
      if (at >= 0) {
        const before = this.#rest.subarray(0, at);
        this.#rest = this.#rest.subarray(at + delimiter.length);
        if (before.length > 0) yield before;
        return;
      }
      // The last bytes may be the beginning of the delimiter.
      const safe = this.#rest.length - delimiter.length + 1;
      if (safe > 0) {
        const before = this.#rest.subarray(0, safe);
        this.#rest = this.#rest.subarray(safe);
        yield before;
      }
      await this.#more();
    }
  }

  /** A line without its end. */
  async line(maxBytes: number): Promise<string> {
    for (;;) {
      const at = indexOf(this.#rest, CRLF);
      if (at >= 0) {
        const bytes = this.#rest.subarray(0, at);
        this.#rest = this.#rest.subarray(at + CRLF.length);
        try {
          return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
        } catch {
          throw refused("has a part with headers that are not UTF-8");
        }
      }
      if (this.#rest.length > maxBytes) throw refused("has a part with too long headers");
      if (this.#rest.length === 2 && this.#rest[0] === 45 && this.#rest[1] === 45) {
        // The last delimiter may be the last bytes of the body.
        const more = await this.#chunks.next();
        if (more.done) return "--";
        this.#rest = concat(this.#rest, more.value);
        continue;
      }
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const next = await this.#chunks.next();
    if (next.done) throw refused("ends before its last boundary");
    this.#rest = concat(this.#rest, next.value);
  }
}

const CRLF = encoder.encode("\r\n");

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function indexOf(haystack: Uint8Array, needle: Uint8Array): number {
  const first = needle[0] ?? 0;
  for (let at = haystack.indexOf(first); at >= 0; at = haystack.indexOf(first, at + 1)) {
    if (at + needle.length > haystack.length) return -1;
    let i = 1;
    while (i < needle.length && haystack[at + i] === needle[i]) i++;
    if (i === needle.length) return at;
  }
  return -1;
}
