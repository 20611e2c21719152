/**
 * Limits on JSON that comes from outside. A parser accepts any depth, but most code that handles the value afterwards
 * recurses, so a body of a few kilobytes could exhaust the stack of a process that many accounts share.
 */

/** How deep a body may be nested. `{}` has one level. */
export const MAX_JSON_DEPTH = 64;

/** How deep a message of the link may be nested: a body, or the input of a tool, inside its envelope. */
export const MAX_LINK_DEPTH = MAX_JSON_DEPTH + 16;

/** How many values a body may contain, at all levels together. */
export const MAX_JSON_VALUES = 1_000_000;

/**
 * Why a parsed value is beyond the limits, or null. Reads it level by level without recursion; a text costs nothing,
 * however long it is.
 */
export function jsonExcess(value: unknown, maxDepth: number = MAX_JSON_DEPTH): string | null {
  let level = isHolder(value) ? [value] : [];
  let count = 1;
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) return `nested deeper than ${maxDepth} levels`;
    const next: object[] = [];
    for (const holder of level) {
      const members: readonly unknown[] = Array.isArray(holder) ? holder : Object.values(holder);
      count += members.length;
      if (count > MAX_JSON_VALUES) return `has more than ${MAX_JSON_VALUES} values`;
      for (const member of members) if (isHolder(member)) next.push(member);
    }
    level = next;
  }
  return null;
}

/** The JSON is well formed but beyond the limits. */
export class JsonExceeds extends Error {}

/** Parses JSON. Throws `SyntaxError`, or `JsonExceeds` when the value is beyond the limits. */
export function parseJsonWithin(text: string, maxDepth: number = MAX_JSON_DEPTH): unknown {
  const value: unknown = JSON.parse(text);
  const excess = jsonExcess(value, maxDepth);
  if (excess !== null) throw new JsonExceeds(excess);
  return value;
}

function isHolder(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
