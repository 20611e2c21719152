/**
 * Ids of tool calls, in both directions.
 *
 * Anthropic clients match results by id over the whole conversation and take `[A-Za-z0-9_-]` only; providers repeat ids
 * from turn to turn (`call_0`), leave them out, or write `functions.Read:0`, which some want to see again.
 */
import { shortHash } from "./json.ts";

const ANTHROPIC_ID = /^[A-Za-z0-9_-]+$/;
/** An id Anthropic's pattern refuses, wrapped so that it can be unwrapped. */
const WRAPPED = "toolu_b64_";

/** Ids for one answer: none twice in it, none of the history's again. */
export class CallIds {
  readonly #taken: Set<string>;
  readonly #newId: (prefix: string) => string;

  /** `history`: the ids of the request's tool calls, as the client writes them. */
  constructor(history: Iterable<string>, newId: (prefix: string) => string) {
    this.#taken = new Set(history);
    this.#newId = newId;
  }

  /** The client's id for a call the upstream named `upstreamId` (or did not name). */
  take(upstreamId: string | undefined): string {
    let id = upstreamId === undefined ? this.#newId("toolu") : toClientId(upstreamId);
    while (this.#taken.has(id)) id = this.#newId("toolu");
    this.#taken.add(id);
    return id;
  }
}

function toClientId(id: string): string {
  if (ANTHROPIC_ID.test(id)) return id;
  const bytes = new TextEncoder().encode(id);
  return (
    WRAPPED +
    btoa(String.fromCharCode(...bytes))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "")
  );
}

/** The id to send upstream: unwrapped, then made to fit the provider. The same for a call and its result. */
export function toUpstreamId(id: string, limits: { maxLength: number; alphanumeric: boolean }): string {
  const own = id.startsWith(WRAPPED) ? unwrap(id) : id;
  if (limits.alphanumeric) {
    if (own.length === limits.maxLength && /^[A-Za-z0-9]+$/.test(own)) return own;
    return (shortHash(own) + shortHash(`${own}#`)).slice(0, limits.maxLength);
  }
  return own.length <= limits.maxLength ? own : `call_${shortHash(own)}${shortHash(`${own}#`)}`;
}

function unwrap(id: string): string {
  try {
    const binary = atob(id.slice(WRAPPED.length).replaceAll("-", "+").replaceAll("_", "/"));
    return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
  } catch {
    return id;
  }
}
