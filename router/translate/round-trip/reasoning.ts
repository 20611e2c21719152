/**
 * Reasoning on its way through a client and back.
 *
 * Anthropic clients keep a thinking block only if it has a signature, and return it unchanged. Providers of the OpenAI
 * dialect have no signatures, so ours marks where the block came from. For OpenRouter it also carries
 * `reasoning_details`, which the models behind it want back exactly as they wrote them.
 */
import { isRecord, nonEmpty, parseJson, type Json } from "../../base/json.ts";

/** Signature of thinking that carries nothing. All signatures made here begin with it. */
export const UNSIGNED = "Z2FudHJ5";
const CARRIES_DETAILS = "Z2FudHJ5LmRldGFpbHMu";

/** The reasoning in a delta or a message, from any of the fields that providers use. */
export function reasoningText(part: Json): string {
  return nonEmpty(part["reasoning_content"]) ?? nonEmpty(part["reasoning"]) ?? detailsText(part["reasoning_details"]);
}

function detailsText(details: unknown): string {
  if (!Array.isArray(details)) return "";
  return details
    .map((detail) => (isRecord(detail) ? (nonEmpty(detail["text"]) ?? nonEmpty(detail["summary"]) ?? "") : ""))
    .join("");
}

/** Adds the details of a delta to those before it. Pieces of one entry (same `index` and `type`) are joined. */
export function mergeDetails(before: Json[], details: unknown): void {
  if (!Array.isArray(details)) return;
  for (const detail of details) {
    if (!isRecord(detail)) continue;
    const last = before.at(-1);
    const continues = last !== undefined && last["type"] === detail["type"] && last["index"] === detail["index"];
    if (!continues || detail["index"] === undefined) {
      before.push({ ...detail });
      continue;
    }
    for (const [key, value] of Object.entries(detail)) {
      const joined = key === "text" || key === "summary" || key === "data";
      if (joined && typeof last[key] === "string" && typeof value === "string") last[key] = last[key] + value;
      else if (value !== null && value !== undefined) last[key] = value;
    }
  }
}

/** Whether the details contain something that the text alone would lose. */
function worthCarrying(details: readonly Json[]): boolean {
  return details.some(
    (detail) => nonEmpty(detail["signature"]) !== undefined || nonEmpty(detail["data"]) !== undefined,
  );
}

/** The signature for a thinking block with these details. */
export function signatureOf(details: readonly Json[]): string {
  if (!worthCarrying(details)) return UNSIGNED;
  return CARRIES_DETAILS + toBase64(JSON.stringify(details));
}

/** The details that one of our signatures carries; undefined for any other signature. */
export function detailsOf(signature: unknown): unknown[] | undefined {
  if (typeof signature !== "string" || !signature.startsWith(CARRIES_DETAILS)) return undefined;
  const details = parseJson(fromBase64(signature.slice(CARRIES_DETAILS.length)));
  return Array.isArray(details) ? details : undefined;
}

function toBase64(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

function fromBase64(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)));
  } catch {
    return "";
  }
}
