import { Buffer, isUtf8 } from "node:buffer";

/**
 * Names as they stand on a disk are bytes; in a snapshot they are text. Bytes that are no UTF-8 become U+DC80 to
 * U+DCFF, which no valid name holds, and come back as what they were.
 */
export function nameToText(name: Buffer): string {
  if (isUtf8(name)) return name.toString("utf8");
  let text = "";
  for (let at = 0; at < name.length;) {
    const length = lengthOfLetter(name[at] ?? 0);
    const letter = name.subarray(at, at + length);
    if (letter.length === length && isUtf8(letter)) {
      text += letter.toString("utf8");
      at += length;
    } else {
      text += String.fromCharCode(0xdc00 + (name[at] ?? 0));
      at += 1;
    }
  }
  return text;
}

/** The way back. Plain text where it can be, because that is what most calls are faster with. */
export function textToPath(text: string): string | Buffer {
  if (text.isWellFormed()) return text;
  const parts: Buffer[] = [];
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(letter));
  }
  return Buffer.concat(parts);
}

function lengthOfLetter(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 1;
}
