/** Changes the value of a request's top-level `model` and not one byte besides: prompt caches hang on the rest. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;

/** `model` as it stands in JSON text, quotes included. */
const KEY = new TextEncoder().encode('"model"');

/**
 * Bytes of the JSON object `raw` with every top-level `model` set to `model`; `raw` itself must have been parsed once, so
 * that it is known to be JSON. Undefined when no top-level key is written as plain `"model"` (escapes are legal there).
 */
export function replaceModel(raw: Uint8Array, model: string): Uint8Array | undefined {
  const spans = modelSpans(raw);
  if (spans.length === 0) return undefined;
  const value = new TextEncoder().encode(JSON.stringify(model));
  const kept = spans.reduce((length, [start, end]) => length - (end - start), raw.length);
  const out = new Uint8Array(kept + spans.length * value.length);
  let from = 0;
  let to = 0;
  for (const [start, end] of spans) {
    out.set(raw.subarray(from, start), to);
    to += start - from;
    out.set(value, to);
    to += value.length;
    from = end;
  }
  out.set(raw.subarray(from), to);
  return out;
}

/** Where the string values of top-level `model` keys stand, quotes included. A key written twice gives two. */
function modelSpans(raw: Uint8Array): [start: number, end: number][] {
  const spans: [number, number][] = [];
  let depth = 0;
  let afterModelKey = false;
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at];
    if (byte === QUOTE) {
      const end = endOfString(raw, at);
      if (depth === 1) {
        if (afterModelKey) spans.push([at, end]);
        afterModelKey = !afterModelKey && isModelKey(raw, at, end);
      }
      at = end - 1;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++;
      afterModelKey = false;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
    else if (byte === COMMA && depth === 1) afterModelKey = false;
  }
  return spans;
}

/** Index after the closing quote of the string that opens at `start`. */
function endOfString(raw: Uint8Array, start: number): number {
  for (let quote = raw.indexOf(QUOTE, start + 1); quote !== -1; quote = raw.indexOf(QUOTE, quote + 1)) {
    let before = quote - 1;
    while (raw[before] === BACKSLASH) before--;
    if ((quote - 1 - before) % 2 === 0) return quote + 1;
  }
  return raw.length;
}

/** A string is a key when a colon follows it; a value that happens to read "model" is followed by a comma or a brace. */
function isModelKey(raw: Uint8Array, start: number, end: number): boolean {
  if (end - start !== KEY.length) return false;
  for (let index = 0; index < KEY.length; index++) if (raw[start + index] !== KEY[index]) return false;
  let next = end;
  while (raw[next] === 0x20 || raw[next] === 0x0a || raw[next] === 0x0d || raw[next] === 0x09) next++;
  return raw[next] === COLON;
}
