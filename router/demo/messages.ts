/** Reads the loosely typed messages of a request. Nothing here throws: unknown shapes are skipped. */
import { isRecord } from "../base/json.ts";

/** An object of a request that has not been checked. */
export type Loose = Readonly<Record<string, unknown>>;

/** Texts of a message's content, of a tool result's content, or of a system prompt. */
export function textsOf(content: unknown): string[] {
  if (typeof content === "string") return [content];
  return blocksOf(content).flatMap((block) =>
    block["type"] === "text" && typeof block["text"] === "string" ? [block["text"]] : [],
  );
}

/** The blocks of a content; none when it is a string. */
export function blocksOf(content: unknown): Loose[] {
  return Array.isArray(content) ? content.filter(isRecord) : [];
}

/** Whether a message is the model's answer. The engine closes an interrupted turn with its own, which does not count. */
export function isReply(message: Loose): boolean {
  return message["role"] === "assistant" && textsOf(message["content"]).join("") !== "No response requested.";
}

/** Identifies an answer at any position in a request: by the id of its tool call, or else by the beginning of its text. */
export function replyKey(message: Loose): string {
  const id = blocksOf(message["content"]).find((block) => block["type"] === "tool_use")?.["id"];
  return typeof id === "string" ? id : textsOf(message["content"]).join("\n").slice(0, 200);
}

/** Finds each `<tag>...</tag>` in a text, from an opening tag to the next closing one. Linear even for hostile texts. */
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

/** The text without these tags and their content. */
export function withoutTags(text: string, tags: readonly string[]): string {
  return tags.reduce((rest, tag) => {
    const spans = tagged(rest, tag);
    const starts = [0, ...spans.map((span) => span.to)];
    return starts.map((start, index) => rest.slice(start, spans[index]?.from)).join("");
  }, text);
}
