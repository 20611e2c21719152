/**
 * Finds the members of a JSON object and the position of their values, without parsing it.
 *
 * A request from Claude Code has a hundred kilobytes, and the router reads three small members. Turning the rest into
 * text and objects would cost more than everything else the router does for a call.
 */
import { MAX_JSON_DEPTH } from "@gantry/protocol/json-limits.ts";

/** Position of a value in JSON text: its first byte, and the byte after its last. */
export type Span = readonly [start: number, end: number];

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;

/** Most strings in a request are shorter. A native search for the closing quote costs as much as forty steps of a loop. */
const NEAR = 48;

const decoder = new TextDecoder();

/**
 * The members of the object `raw`, by name. Undefined when only a parser can tell: `raw` is not an object, a name occurs
 * twice or contains an escape, a value is nested too deep, or the top level is not valid JSON. Nested values are not checked.
 */
export function skim(raw: Uint8Array): ReadonlyMap<string, Span> | undefined {
  const members = new Map<string, Span>();
  let at = skipSpace(raw, 0);
  if (raw[at] !== OPEN_BRACE) return undefined;
  at = skipSpace(raw, at + 1);
  while (raw[at] === QUOTE) {
    const endOfName = endOfString(raw, at);
    const name = decoder.decode(raw.subarray(at + 1, endOfName - 1));
    const colon = skipSpace(raw, endOfName);
    if (raw[colon] !== COLON || name.includes("\\") || members.has(name)) return undefined;
    const start = skipSpace(raw, colon + 1);
    const end = endOfValue(raw, start);
    if (end <= start) return undefined;
    members.set(name, [start, end]);
    at = skipSpace(raw, end);
    if (raw[at] !== COMMA) break;
    at = skipSpace(raw, at + 1);
    if (raw[at] !== QUOTE) return undefined;
  }
  return raw[at] === CLOSE_BRACE && skipSpace(raw, at + 1) === raw.length ? members : undefined;
}

/** The value at `span`; undefined when it is not JSON. */
export function valueAt(raw: Uint8Array, [start, end]: Span): unknown {
  try {
    return JSON.parse(decoder.decode(raw.subarray(start, end)));
  } catch {
    return undefined;
  }
}

/** Whether the value at `span` is a list with at least one element. */
export function isFilledList(raw: Uint8Array, [start]: Span): boolean {
  return raw[start] === OPEN_BRACKET && raw[skipSpace(raw, start + 1)] !== CLOSE_BRACKET;
}

/** The bytes of `raw` with those at `span` replaced. */
export function splice(raw: Uint8Array, [start, end]: Span, by: Uint8Array): Uint8Array {
  const out = new Uint8Array(raw.length - (end - start) + by.length);
  out.set(raw.subarray(0, start));
  out.set(by, start);
  out.set(raw.subarray(end), start + by.length);
  return out;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function skipSpace(raw: Uint8Array, from: number): number {
  let at = from;
  while (isSpace(raw[at])) at++;
  return at;
}

/** Index after the value that begins at `start`; `start` itself when no value begins there. */
function endOfValue(raw: Uint8Array, start: number): number {
  const first = raw[start];
  if (first === QUOTE) return endOfString(raw, start);
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return endOfNested(raw, start);
  let at = start;
  while (at < raw.length && raw[at] !== COMMA && raw[at] !== CLOSE_BRACE && !isSpace(raw[at])) at++;
  return at;
}

/** Index after the bracket that closes the one at `start`; the end of `raw` when none does; `start` when it is too deep. */
function endOfNested(raw: Uint8Array, start: number): number {
  let depth = 0;
  for (let at = start; at < raw.length; at++) {
    const byte = raw[at];
    if (byte === QUOTE) at = endOfString(raw, at) - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      // The object that holds this value is a level too.
      if (++depth >= MAX_JSON_DEPTH) return start;
    } else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1;
  }
  return raw.length;
}

/** Index after the quote that closes the string at `start`; the end of `raw` when none does. */
function endOfString(raw: Uint8Array, start: number): number {
  const near = Math.min(start + NEAR, raw.length);
  let at = start + 1;
  for (; at < near; at++) {
    const byte = raw[at];
    if (byte === QUOTE) return at + 1;
    if (byte === BACKSLASH) at++;
  }
  for (let quote = raw.indexOf(QUOTE, at); quote !== -1; quote = raw.indexOf(QUOTE, quote + 1)) {
    let before = quote - 1;
    while (raw[before] === BACKSLASH) before--;
    if ((quote - 1 - before) % 2 === 0) return quote + 1;
  }
  return raw.length;
}
