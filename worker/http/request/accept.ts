import { RequestRefused } from "@gantry/protocol/error.ts";
import { parseAccept } from "hono/utils/accept";

/** Content types in which a run or a log can be sent. */
export const JSON_TYPE = "application/json";
export const NDJSON_TYPE = "application/x-ndjson";
export const SSE_TYPE = "text/event-stream";
export const TEXT_TYPE = "text/plain";

/**
 * The content type to answer with: the offered type that the `Accept` header prefers, or the first of several equals. A
 * client without the header gets the first. Throws `not_acceptable` when none fits.
 */
export function chooseType<T extends string>(accept: string | undefined, offered: readonly [T, ...T[]]): T {
  if (accept === undefined || accept.trim() === "") return offered[0];
  const ranges = parseAccept(accept.toLowerCase());
  const liked = offered
    .map((type, index) => ({ type, index, q: qualityOf(type, ranges) }))
    .filter(({ q }) => q > 0)
    .toSorted((a, b) => b.q - a.q || a.index - b.index);
  if (liked[0]) return liked[0].type;
  throw new RequestRefused({ code: "not_acceptable", offered: offered.join(", ") });
}

/** The quality of the most specific range that a type matches; 0 when it matches none. */
function qualityOf(type: string, ranges: readonly { type: string; q: number }[]): number {
  const [group = ""] = type.split("/");
  for (const range of [type, `${group}/*`, "*/*", "*"]) {
    const found = ranges.find((each) => each.type === range);
    if (found) return found.q;
  }
  return 0;
}

/** Longest wait that a client may ask for, in seconds. */
const MAX_WAIT_SECONDS = 3600;

/**
 * Seconds of `Prefer: wait=N` (RFC 7240), capped at an hour; null when the header has no such preference. A value that is
 * not a number is ignored, as the RFC requires.
 */
export function preferredWait(prefer: string | undefined): number | null {
  const found = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer ?? "")?.[1];
  return found === undefined ? null : Math.min(Number(found), MAX_WAIT_SECONDS);
}
