/** A Messages request on its way through the router, of which most is for the provider alone. */
import { type Checked, checkMessages, type MessagesBody, parseObject } from "./request.ts";
import { isFilledList, skim, splice, type Span, valueAt } from "./skim.ts";

/** Stands for the messages of a request whose list was seen to hold something. */
const SOME: readonly unknown[] = [null];

/**
 * What the router itself reads of a request, and the whole for who has to read it. A request that is passed through is
 * never parsed: that its messages are what they ought to be is then the provider's to judge.
 */
export class MessagesRequest {
  /** The bytes as received. */
  readonly raw: Uint8Array;
  /** The name that the caller wrote. */
  readonly model: string;
  readonly maxTokens: number | undefined;
  /** Whether the caller asked for a stream. */
  readonly streams: boolean;
  /** Where its members stand in `raw`; null when that is not known. */
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

  /** A request, or a 400 that names the field. */
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

  /** Whether it has this member. */
  has(name: string): boolean {
    return this.#members === null ? name in (this.#body ?? {}) : this.#members.has(name);
  }

  /** All of it, shared by all who ask: never change it. Not ok where what was not looked at before is no JSON. */
  async body(): Promise<Checked<MessagesBody>> {
    if (this.#body !== null) return { ok: true, value: this.#body };
    const object = await parseObject(this.raw);
    if (!object.ok) return object;
    // Its members were looked at when it came, and a parser finds the same ones.
    return { ok: true, value: (this.#body = object.value as MessagesBody) };
  }

  /** Its bytes with another model and not one byte besides, because prompt caches hang on them; undefined where that cannot be had. */
  withModel(model: string): Uint8Array | undefined {
    if (model === this.model) return this.raw;
    const span = this.#members?.get("model");
    return span && splice(this.raw, span, new TextEncoder().encode(JSON.stringify(model)));
  }

  /** Whether `text`, which JSON has no reason to escape, stands anywhere in it. */
  mentions(text: string): boolean {
    const sought = new TextEncoder().encode(text);
    const first = sought[0];
    if (first === undefined) return true;
    for (let at = this.raw.indexOf(first); at !== -1; at = this.raw.indexOf(first, at + 1))
      if (sought.every((byte, index) => this.raw[at + index] === byte)) return true;
    return false;
  }
}

/** The members that the router reads; undefined where the messages are not, at first sight, what they ought to be. */
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
