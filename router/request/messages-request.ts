/** A Messages request on its way through the router. Most of it is only for the provider. */
import { type Checked, checkMessages, type MessagesBody, parseObject } from "./request.ts";
import { isFilledList, skim, splice, type Span, valueAt } from "./skim.ts";

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const ZERO = 0x30;

/** Placeholder for a list of messages that is known not to be empty but has not been parsed. */
const SOME: readonly unknown[] = [null];

/**
 * The few fields the router reads, and the whole body on demand. A request that is passed through is never parsed; the
 * provider then judges whether its messages are valid.
 */
export class MessagesRequest {
  /** The bytes as received. */
  readonly raw: Uint8Array;
  /** The model's name as the caller wrote it. */
  readonly model: string;
  readonly maxTokens: number | undefined;
  /** Whether the caller asked for a stream. */
  readonly streams: boolean;
  /** Position of each member in `raw`; null when the request had to be parsed. */
  readonly #members: ReadonlyMap<string, Span> | null;
  #body: MessagesBody | null;

  private constructor(raw: Uint8Array, read: MessagesBody, members: ReadonlyMap<string, Span> | null) {
    this.raw = raw;
    this.model = read.model;
    this.maxTokens = read.max_tokens;
    this.streams = read.stream === true;
    this.#members = members;
    this.#body = members === null ? read : null;
  }

  /** The request, or a 400 that names the wrong field. */
  static async from(raw: Uint8Array, kind: "messages" | "count_tokens"): Promise<Checked<MessagesRequest>> {
    const members = skim(raw);
    const head = members && headOf(raw, members);
    if (members && head) {
      const checked = checkMessages(head, kind);
      if (checked.ok) return { ok: true, value: new MessagesRequest(raw, checked.value, members) };
    }
    const object = await parseObject(raw);
    if (!object.ok) return object;
    const body = checkMessages(object.value, kind);
    return body.ok ? { ok: true, value: new MessagesRequest(raw, body.value, null) } : body;
  }

  /** Whether the body has this member. */
  has(name: string): boolean {
    return this.#members === null ? name in (this.#body ?? {}) : this.#members.has(name);
  }

  /** The names of its members. */
  names(): string[] {
    return [...(this.#members?.keys() ?? Object.keys(this.#body ?? {}))];
  }

  /** The value of one member, read by itself; undefined when there is none. */
  valueOf(name: string): unknown {
    if (this.#body !== null) return this.#body[name];
    const span = this.#members?.get(name);
    return span === undefined ? undefined : valueAt(this.raw, span);
  }

  /** The parsed body. It is shared between callers: never change it. Fails when the part not read so far is not JSON. */
  async body(): Promise<Checked<MessagesBody>> {
    if (this.#body !== null) return { ok: true, value: this.#body };
    const object = await parseObject(this.raw);
    if (!object.ok) return object;
    // The members were checked on arrival, and a parser finds the same ones.
    return { ok: true, value: (this.#body = object.value as MessagesBody) };
  }

  /**
   * The bytes with only the model changed, because prompt caches depend on the rest. Undefined when the body had to be
   * parsed: the bytes may then say something twice, and the provider would read the other one. It must be sent anew.
   */
  withModel(model: string): Uint8Array | undefined {
    if (this.#members === null) return undefined;
    if (model === this.model) return this.raw;
    const span = this.#members.get("model");
    return span && splice(this.raw, span, new TextEncoder().encode(JSON.stringify(model)));
  }

  /** Whether the body spells plain letters as `\u00XX` somewhere, so that `mentions` may miss a word. */
  hidesText(): boolean {
    for (let at = this.raw.indexOf(BACKSLASH); at !== -1; at = this.raw.indexOf(BACKSLASH, at + 1)) {
      if (this.raw[at + 1] !== LETTER_U || this.raw[at + 2] !== ZERO || this.raw[at + 3] !== ZERO) continue;
      const digit = this.raw[at + 4] ?? 0;
      if (digit >= ZERO + 2 && digit <= ZERO + 7) return true;
    }
    return false;
  }

  /** Whether `text` occurs anywhere in the body. `text` must not need escaping in JSON. */
  mentions(text: string): boolean {
    const sought = new TextEncoder().encode(text);
    const first = sought[0];
    if (first === undefined) return true;
    for (let at = this.raw.indexOf(first); at !== -1; at = this.raw.indexOf(first, at + 1))
      if (sought.every((byte, index) => this.raw[at + index] === byte)) return true;
    return false;
  }
}

/** The members that the router reads; undefined when `messages` is not a list that holds something. */
function headOf(raw: Uint8Array, members: ReadonlyMap<string, Span>): Record<string, unknown> | undefined {
  const messages = members.get("messages");
  if (messages === undefined || !isFilledList(raw, messages)) return undefined;
  const head: Record<string, unknown> = { messages: SOME };
  for (const name of ["model", "max_tokens", "stream"]) {
    const span = members.get(name);
    if (span !== undefined) head[name] = valueAt(raw, span);
  }
  return head;
}
