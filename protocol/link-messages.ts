import { z } from "zod";
import { MAX_LINK_DEPTH, parseJsonWithin } from "./json-limits.ts";

/** Largest WebSocket message in bytes. A larger message is sent in parts. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/**
 * The same limit in UTF-16 code units, so that bytes need not be counted: a unit takes at most three bytes. Quoting a part
 * a second time doubles its quotes and backslashes, but never a character of three bytes.
 */
export const MAX_MESSAGE_CHARS = 340_000;

/** Largest message in UTF-16 code units after its parts are joined. A prompt of ten megabytes fits several times. */
export const MAX_JOINED_CHARS = 32_000_000;

const Part = z.object({
  type: z.literal("part"),
  index: z.number().int(),
  of: z.number().int().positive().max(200),
  text: z.string(),
});

/** Splits a message that is too large for one WebSocket message into parts. */
export function toMessages(message: object): string[] {
  const json = JSON.stringify(message);
  if (json.length <= MAX_MESSAGE_CHARS) return [json];
  const of = Math.ceil(json.length / MAX_MESSAGE_CHARS);
  const size = Math.ceil(json.length / of);
  return Array.from({ length: of }, (_, index) =>
    JSON.stringify({ type: "part", index, of, text: json.slice(index * size, (index + 1) * size) }),
  );
}

/** Joins parts into messages. Each link needs one assembler per direction. */
export class MessageAssembler {
  #parts: string[] = [];
  #chars = 0;

  /**
   * The parsed JSON of a whole message, or undefined while parts are missing. Throws on malformed input, and on input that is
   * too long or nested too deep.
   */
  push(data: string): unknown {
    if (data.length > MAX_MESSAGE_BYTES) throw new Error(`a message has ${data.length} characters`);
    const value = parseJsonWithin(data, MAX_LINK_DEPTH);
    if (typeof value !== "object" || value === null || !("type" in value) || value.type !== "part") return value;
    const part = Part.parse(value);
    if (part.index !== this.#parts.length) throw new Error(`part ${part.index} came after ${this.#parts.length} parts`);
    this.#chars += part.text.length;
    if (this.#chars > MAX_JOINED_CHARS) throw new Error(`a message has more than ${MAX_JOINED_CHARS} characters`);
    this.#parts.push(part.text);
    if (this.#parts.length < part.of) return undefined;
    const whole = this.#parts.join("");
    this.#parts = [];
    this.#chars = 0;
    return parseJsonWithin(whole, MAX_LINK_DEPTH);
  }
}
