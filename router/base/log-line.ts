/** Longest text of one field, in characters. Most are ids; the longest useful one is an error with its stack. */
const MAX_TEXT = 2_000;
/** Longest line, in characters. A longer one has too many fields or too long a list, and keeps only its beginning. */
const MAX_LINE = 16_000;

/**
 * One line of the log as JSON. Each field has a limit, so that no request can fill the disk or push other lines out of the
 * log: text from outside gets into lines by ways that nobody thought of.
 */
export function toLogLine(entry: Record<string, unknown>): string {
  const line = JSON.stringify(entry, shorten);
  if (line.length <= MAX_LINE) return line;
  const { at, from, part, event, request_id } = entry;
  const beginning = `${line.slice(0, MAX_TEXT)}… (${line.length} characters)`;
  return JSON.stringify({ at, from, part, event, request_id, line: beginning }, shorten);
}

function shorten(_name: string, value: unknown): unknown {
  return typeof value === "string" && value.length > MAX_TEXT + 40
    ? `${value.slice(0, MAX_TEXT)}… (${value.length} characters)`
    : value;
}
