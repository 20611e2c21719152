import { MAX_EVENT_CHARS } from "@gantry/protocol/event.ts";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { jsonExcess } from "@gantry/protocol/json-limits.ts";

/** Shortens what is too long for an event. The engine keeps the whole; the event says how much is missing. */

/** How many members are kept of an input that is beyond the limits. */
const MAX_MEMBERS = 20;

type ResultContent = Extract<RunnerEvent, { type: "agent.tool_result" }>["content"];

/** A tool's result, shortened to fit an event. */
export function toResultContent(content: unknown): ResultContent {
  if (typeof content === "string") return [{ type: "text", text: clip(content) }];
  if (!Array.isArray(content)) return [];
  let room = MAX_EVENT_CHARS / 2;
  const out: ResultContent = [];
  for (const block of content as Record<string, unknown>[]) {
    if (block["type"] === "text" && typeof block["text"] === "string") {
      const text = clip(block["text"], room);
      room -= text.length;
      out.push({ type: "text", text });
    } else if (block["type"] === "image") {
      const size = JSON.stringify(block).length;
      // Half an image is useless, so a text says that there was one.
      if (size > room) out.push({ type: "text", text: `[image of ${size} characters left out]` });
      else {
        room -= size;
        out.push(block as ResultContent[number]);
      }
    }
    if (room <= 0) break;
  }
  return out;
}

/** Shortens a text so that its event fits a frame and a database row. */
export function clip(text: string, max: number = MAX_EVENT_CHARS / 4): string {
  return text.length <= max ? text : `${text.slice(0, max)}\n[${text.length - max} more characters left out]`;
}

/**
 * A tool's input, with long texts shortened and without what the link would refuse. Returns the same object when nothing had
 * to be changed.
 */
export function clipInput(input: unknown): Record<string, unknown> {
  if (typeof input !== "object" || input === null) return {};
  const excess = jsonExcess(input);
  if (excess !== null)
    return Object.fromEntries(
      Object.entries(input)
        .slice(0, MAX_MEMBERS)
        .map(([key, value]) => [
          key,
          typeof value === "object" && value !== null ? `[left out: ${excess}]` : clipValue(value),
        ]),
    );
  const json = JSON.stringify(input);
  if (json.length <= MAX_EVENT_CHARS / 2) return input as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(input).map(([key, value]) => [
      key,
      typeof value === "string" ? clipValue(value) : `[${JSON.stringify(value)?.length ?? 0} characters left out]`,
    ]),
  );
}

const clipValue = (value: unknown): unknown => (typeof value === "string" ? clip(value, 20_000) : value);
