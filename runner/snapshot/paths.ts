import { Buffer, isUtf8 } from "node:buffer";
import type { FolderRoots } from "../folders/session-folders.ts";

/**
 * Turns a file name from disk, which is bytes, into text for a snapshot. Bytes that are not valid UTF-8 become U+DC80 to
 * U+DCFF, which no valid name contains, so that `textToPath` can restore them.
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

/** The inverse of `nameToText`. Returns a string where possible, because most calls are faster with one. */
export function textToPath(text: string): string | Buffer {
  if (text.isWellFormed()) return text;
  const parts: Buffer[] = [];
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0;
    parts.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.of(code - 0xdc00) : Buffer.from(letter));
  }
  return Buffer.concat(parts);
}

/** The path on disk of a path in a snapshot. */
export function diskPathOf(roots: FolderRoots, path: string): string | Buffer {
  const inWorkspace = path === "workspace" || path.startsWith("workspace/");
  return textToPath(inWorkspace ? roots.workspace + path.slice("workspace".length) : `${roots.base}/${path}`);
}

/** How many bytes a UTF-8 letter has, by its first byte. */
function lengthOfLetter(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 1;
}
