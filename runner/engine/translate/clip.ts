import { MAX_EVENT_CHARS } from "@gantry/protocol/event.ts";
import type { RunnerEvent } from "@gantry/protocol/event.ts";

/** Shortens what is too long for an event. The engine keeps the whole; the event says how much is missing. */

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

/** A tool's input, with long texts shortened. Returns the same object when nothing had to be. */
export function clipInput(input: unknown): Record<string, unknown> {
  if (typeof input !== "object" || input === null) return {};
  const json = JSON.stringify(input);
  if (json.length <= MAX_EVENT_CHARS / 2) return input as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(input).map(([key, value]) => [
      key,
      typeof value === "string" ? clip(value, 20_000) : `[${JSON.stringify(value)?.length ?? 0} characters left out]`,
    ]),
  );
}
