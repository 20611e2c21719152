/**
 * Ids of tool calls, in both directions.
 *
 * Anthropic clients match results by id across the whole conversation and accept only `[A-Za-z0-9_-]`. Providers repeat
 * ids from turn to turn (`call_0`), omit them, or write `functions.Read:0`, which some of them expect back. Every client
 * returns an id unchanged, so the id also carries what a provider wants back with the call (Gemini's `extra_content` with
 * its thought signature).
 */
import { isRecord, nonEmpty, parseJson, shortHash, type Json } from "../../base/json.ts";

const ANTHROPIC_ID = /^[A-Za-z0-9_-]+$/;
/** Prefix of an id that Anthropic's pattern refuses; the original follows in base64url. */
const WRAPPED = "toolu_b64_";
/** Prefix of an id that carries its call's `extra_content`; both follow as JSON in base64url. */
const LADEN = "toolu_x64_";

/** Makes the ids of one answer. Each is unique in the answer and in the conversation before it. */
export class CallIds {
  readonly #taken: Set<string>;
  readonly #newId: (prefix: string) => string;

  /** `history`: ids of the tool calls in the request, as the client writes them. */
  constructor(history: Iterable<string>, newId: (prefix: string) => string) {
    this.#taken = new Set(history);
    this.#newId = newId;
  }

  /** The client's id for a call that the upstream named `upstreamId`, or did not name. */
  take(upstreamId: string | undefined, extra?: Json): string {
    let id = this.#toClientId(upstreamId, extra);
    while (this.#taken.has(id)) id = this.#toClientId(undefined, extra);
    this.#taken.add(id);
    return id;
  }

  #toClientId(upstreamId: string | undefined, extra: Json | undefined): string {
    const id = upstreamId ?? this.#newId("toolu");
    if (extra !== undefined) return LADEN + toBase64Url(JSON.stringify({ id, extra }));
    return ANTHROPIC_ID.test(id) ? id : WRAPPED + toBase64Url(id);
  }
}

/** A call's id for the provider. */
export interface UpstreamCallId {
  readonly id: string;
  /** The call's `extra_content`, as the provider wrote it. */
  readonly extra: Json | undefined;
}

/** The id to send upstream: unwrapped, then adapted to the provider's limits. A call and its result get the same id. */
export function toUpstreamId(id: string, limits: { maxLength: number; alphanumeric: boolean }): UpstreamCallId {
  const { id: own, extra } = unwrap(id);
  return { id: fit(own, limits), extra };
}

function fit(id: string, { maxLength, alphanumeric }: { maxLength: number; alphanumeric: boolean }): string {
  if (alphanumeric) {
    if (id.length === maxLength && /^[A-Za-z0-9]+$/.test(id)) return id;
    return (shortHash(id) + shortHash(`${id}#`)).slice(0, maxLength);
  }
  return id.length <= maxLength ? id : `call_${shortHash(id)}${shortHash(`${id}#`)}`;
}

function unwrap(id: string): UpstreamCallId {
  if (id.startsWith(WRAPPED)) return { id: fromBase64Url(id.slice(WRAPPED.length)) ?? id, extra: undefined };
  if (!id.startsWith(LADEN)) return { id, extra: undefined };
  const laden = parseJson(fromBase64Url(id.slice(LADEN.length)) ?? "");
  if (!isRecord(laden)) return { id, extra: undefined };
  return { id: nonEmpty(laden["id"]) ?? id, extra: isRecord(laden["extra"]) ? laden["extra"] : undefined };
}

function toBase64Url(text: string): string {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64Url(text: string): string | undefined {
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
  } catch {
    return undefined;
  }
}
