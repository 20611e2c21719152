import { RequestRefused } from "@gantry/protocol/error.ts";
import { parseAccept } from "hono/utils/accept";

/** The forms in which a run or a log can be told. */
export const JSON_TYPE = "application/json";
export const NDJSON_TYPE = "application/x-ndjson";
export const SSE_TYPE = "text/event-stream";
export const TEXT_TYPE = "text/plain";

/**
 * The type to answer with: of those offered the one the client likes best, of equals the first. A client that names
 * none takes the first.
 */
export function chooseType<T extends string>(accept: string | undefined, offered: readonly [T, ...T[]]): T {
  if (accept === undefined || accept.trim() === "") return offered[0];
  const ranges = parseAccept(accept.toLowerCase());
  const liked = offered
    .map((type, place) => ({ type, place, q: likingOf(type, ranges) }))
    .filter(({ q }) => q > 0)
    .toSorted((a, b) => b.q - a.q || a.place - b.place);
  if (liked[0]) return liked[0].type;
  throw new RequestRefused({ code: "not_acceptable", offered: offered.join(", ") });
}

/** The closest range that a type falls into decides, whatever the others say. */
function likingOf(type: string, ranges: readonly { type: string; q: number }[]): number {
  const [group = ""] = type.split("/");
  for (const range of [type, `${group}/*`, "*/*", "*"]) {
    const found = ranges.find((each) => each.type === range);
    if (found) return found.q;
  }
  return 0;
}

/** Longest wait that a client may ask for, in seconds. */
const MAX_WAIT_SECONDS = 3600;

/** Seconds of `Prefer: wait=N` (RFC 7240), capped; null when the client says nothing of it. What is no number is ignored, as the RFC wants. */
export function preferredWait(prefer: string | undefined): number | null {
  const found = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?\s*(?:$|[,;])/i.exec(prefer ?? "")?.[1];
  return found === undefined ? null : Math.min(Number(found), MAX_WAIT_SECONDS);
}
