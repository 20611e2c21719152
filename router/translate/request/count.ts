/**
 * Estimates how many tokens a request has, for models whose provider does not count them. The estimate errs upwards.
 *
 * A count that is too low lets a client fill the context until the provider refuses it. So each rate here is at or above
 * that of current tokenizers (calibrated against OpenAI's cl100k and o200k; see `count.test.ts`). It takes one pass over
 * the characters and no tables, and runs only when a client asks for a count.
 */
import { asArray, isRecord, type Json } from "../../base/json.ts";

/** Tokens that a provider adds around each message, tool declaration and request. */
const PER_MESSAGE = 6;
const PER_TOOL = 10;
const PER_REQUEST = 8;
/** Anthropic's maximum for one image; other providers use fewer. */
const PER_IMAGE = 1600;
/** Tokens of a PDF page as text and picture, and the usual size of a page. */
const PER_PDF_PAGE = 3000;
const PDF_PAGE_BYTES = 60_000;

/** The answer to `POST /v1/messages/count_tokens`; a header says that the count is an estimate. */
export function countTokensResponse(body: Json, requestId: string): Response {
  return Response.json(
    { input_tokens: estimateTokens(body) },
    { headers: { "x-token-count": "estimate", "request-id": requestId } },
  );
}

/** Tokens of a Messages body: system, messages, tools. */
export function estimateTokens(body: Json): number {
  let tokens = PER_REQUEST + ofContent(body["system"]);
  for (const message of asArray(body["messages"])) {
    if (isRecord(message)) tokens += PER_MESSAGE + ofContent(message["content"]);
  }
  for (const tool of asArray(body["tools"])) {
    if (!isRecord(tool)) continue;
    const { cache_control: _mark, ...said } = tool;
    tokens += PER_TOOL + textTokens(JSON.stringify(said));
  }
  const format = isRecord(body["output_config"]) ? body["output_config"]["format"] : undefined;
  if (isRecord(format)) tokens += textTokens(JSON.stringify(format));
  return Math.ceil(tokens);
}

function ofContent(content: unknown): number {
  if (typeof content === "string") return textTokens(content);
  let tokens = 0;
  for (const block of asArray(content)) if (isRecord(block)) tokens += ofBlock(block);
  return tokens;
}

function ofBlock(block: Json): number {
  switch (block["type"]) {
    case "text":
      return ofString(block["text"]);
    case "thinking":
      return ofString(block["thinking"]);
    case "redacted_thinking":
      return 0;
    case "image":
      return PER_IMAGE;
    case "document":
      return ofDocument(block);
    case "tool_use":
      return PER_TOOL + ofString(block["name"]) + textTokens(JSON.stringify(block["input"] ?? {}));
    case "tool_result":
      return PER_TOOL + ofContent(block["content"]);
    default:
      return textTokens(JSON.stringify(block));
  }
}

function ofDocument(block: Json): number {
  const source = isRecord(block["source"]) ? block["source"] : {};
  const about = ofString(block["title"]) + ofString(block["context"]);
  if (source["type"] === "text") return about + ofString(source["data"]);
  if (source["type"] === "content") return about + ofContent(source["content"]);
  const data = source["data"];
  const bytes = typeof data === "string" ? data.length * 0.75 : PDF_PAGE_BYTES;
  return about + Math.ceil(bytes / PDF_PAGE_BYTES) * PER_PDF_PAGE;
}

function ofString(value: unknown): number {
  return typeof value === "string" ? textTokens(value) : 0;
}

const SPACE = 0;
const LOWER = 1;
const UPPER = 2;
const DIGIT = 3;
const PUNCTUATION = 4;
const WIDE = 5;

/** A longer stretch of letters and digits is neither a word nor a name. */
const SOLID = 24;

/** Class of each ASCII character. */
const CLASS = Uint8Array.from({ length: 128 }, (_, code) => {
  if (code <= 32) return SPACE;
  if (code >= 48 && code <= 57) return DIGIT;
  if (code >= 65 && code <= 90) return UPPER;
  if (code >= 97 && code <= 122) return LOWER;
  return PUNCTUATION;
});

/** Tokens of a text, counted by runs of the same class of characters, each at its own rate. */
export function textTokens(text: string): number {
  let tokens = 0;
  let kind = SPACE;
  let run = 0;
  // Start of the current stretch of letters and digits.
  let solidFrom = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 128) {
      if (kind !== WIDE) tokens += ofRun(kind, run);
      kind = WIDE;
      run = 0;
      tokens += wideTokens(code);
      continue;
    }
    const next = CLASS[code] ?? PUNCTUATION;
    // A capital belongs to the word it begins: `Word` is one run, `camelCase` two.
    if (next === kind || (next === LOWER && kind === UPPER && run === 1)) {
      run++;
      kind = next;
      continue;
    }
    tokens += ofRun(kind, run);
    if (kind === SPACE || kind === PUNCTUATION || kind === WIDE) solidFrom = i;
    // Base64 and hashes are in no vocabulary.
    else if (i - solidFrom > SOLID) tokens += run * 0.24;
    kind = next;
    run = 1;
  }
  return Math.ceil(tokens + ofRun(kind, run));
}

function ofRun(kind: number, run: number): number {
  switch (kind) {
    case SPACE:
      // A single space belongs to the next word.
      return run <= 1 ? 0.04 : 1 + run / 64;
    case LOWER:
      return run <= 6 ? 1.04 : 1.04 + (run - 6) * 0.24;
    case UPPER:
      return 0.6 + run * 0.3;
    case DIGIT:
      return (run + 1) / 2;
    case PUNCTUATION:
      return 0.42 + run * 0.58;
    default:
      return 0;
  }
}

/** Tokens of a character outside ASCII, by script. Older vocabularies spell many of them byte by byte. */
function wideTokens(code: number): number {
  if (code < 0x0250) return 1; // Latin with marks
  if (code < 0x0530) return 0.85; // Greek, Cyrillic
  if (code < 0x0900) return 1.25; // Hebrew, Arabic
  if (code < 0x1100) return 1.7; // Indic, Thai, ...
  if (code >= 0x2000 && code < 0x2c00) return 1.7; // punctuation, arrows, boxes
  if (code >= 0x3000 && code < 0xa000) return 1.35; // Chinese, Japanese
  if (code >= 0xac00 && code < 0xd7b0) return 1.5; // Korean
  if (code >= 0xd800 && code < 0xe000) return 1.6; // half of a pair: emoji and rare characters
  return 2;
}
