/** Reading the loosely typed messages of a request. Nothing here throws: what it does not know it skips. */
import { isRecord } from "../base/json.ts";

export type Loose = Readonly<Record<string, unknown>>;

/** Texts of a message's content, of a tool result's content, or of a system prompt. */
export function textsOf(content: unknown): string[] {
  if (typeof content === "string") return [content];
  return blocksOf(content).flatMap((block) =>
    block["type"] === "text" && typeof block["text"] === "string" ? [block["text"]] : [],
  );
}

export function blocksOf(content: unknown): Loose[] {
  return Array.isArray(content) ? content.filter(isRecord) : [];
}

/** An answer of the model. The engine closes an interrupted turn with one that no model gave: that one does not count. */
export function isReply(message: Loose): boolean {
  return message["role"] === "assistant" && textsOf(message["content"]).join("") !== "No response requested.";
}

/** The same for the same answer wherever it stands in a request: a tool call's id, else how its text begins. */
export function replyKey(message: Loose): string {
  const id = blocksOf(message["content"]).find((block) => block["type"] === "tool_use")?.["id"];
  return typeof id === "string" ? id : textsOf(message["content"]).join("\n").slice(0, 200);
}

/** Where `<tag>...</tag>` stands in a text, first opening to first closing. Linear, whatever a hostile text repeats. */
export function tagged(text: string, tag: string): { readonly from: number; readonly to: number }[] {
  const spans: { from: number; to: number }[] = [];
  const close = `</${tag}>`;
  for (let from = text.indexOf(`<${tag}>`); from >= 0;) {
    const end = text.indexOf(close, from);
    if (end < 0) break;
    const to = end + close.length;
    spans.push({ from, to });
    from = text.indexOf(`<${tag}>`, to);
  }
  return spans;
}

/** The text without these tags and what stands in them. */
export function withoutTags(text: string, tags: readonly string[]): string {
  return tags.reduce((rest, tag) => {
    const spans = tagged(rest, tag);
    const starts = [0, ...spans.map((span) => span.to)];
    return starts.map((start, index) => rest.slice(start, spans[index]?.from)).join("");
  }, text);
}
