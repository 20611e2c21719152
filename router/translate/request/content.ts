/** Translates content blocks of Anthropic's messages into parts or text of the OpenAI dialect. */
import { asArray, isRecord, nonEmpty, type Json } from "../../base/json.ts";
import type { CacheMark, ChatFilePart, ChatImagePart, ChatPart, ChatTextPart } from "./chat.ts";
import type { Dialect } from "./dialects.ts";

/** `content` as a list of blocks; a string becomes one text block. */
export function blocksOf(content: unknown): Json[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  const blocks: Json[] = [];
  for (const item of asArray(content)) {
    if (isRecord(item)) blocks.push(item);
    else if (typeof item === "string" && item !== "") blocks.push({ type: "text", text: item });
  }
  return blocks;
}

/** One block as parts, in order. A block without content has none. */
export function toParts(block: Json, dialect: Dialect): ChatPart[] {
  const mark: CacheMark =
    dialect.cacheControl && isRecord(block["cache_control"]) ? { cache_control: block["cache_control"] } : {};
  switch (block["type"]) {
    case "text": {
      const text = nonEmpty(block["text"]);
      return text === undefined ? [] : [{ type: "text", text, ...mark }];
    }
    case "image":
      return [{ ...toImage(block, dialect), ...mark }];
    case "document":
      return toDocument(block, dialect).map((part, i, all) => (i === all.length - 1 ? { ...part, ...mark } : part));
    default: {
      const text = toText(block);
      return text === "" ? [] : [{ type: "text", text, ...mark }];
    }
  }
}

/** One string when all parts are plain text, because some providers accept only strings; otherwise the parts. */
export function toContent<P extends ChatPart>(parts: P[]): string | P[] {
  const plain = parts.every((part) => part.type === "text" && part.cache_control === undefined);
  return plain ? joinText(parts) : parts;
}

/** The texts among `parts`, one per line. */
export function joinText(parts: readonly ChatPart[]): string {
  const texts: string[] = [];
  for (const part of parts) if (part.type === "text") texts.push(part.text);
  return texts.length === 1 ? (texts[0] ?? "") : texts.join("\n");
}

/** A text as a part. */
export function textPart(text: string): ChatTextPart {
  return { type: "text", text };
}

function toImage(block: Json, dialect: Dialect): ChatImagePart | ChatTextPart {
  const source = isRecord(block["source"]) ? block["source"] : {};
  const url = sourceUrl(source, "image/png");
  if (url === undefined) return textPart("[An image that is stored elsewhere; it cannot be shown to this model.]");
  if (!dialect.images) return textPart("[An image; this model cannot see images.]");
  return { type: "image_url", image_url: { url } };
}

function toDocument(block: Json, dialect: Dialect): ChatPart[] {
  const source = isRecord(block["source"]) ? block["source"] : {};
  const title = nonEmpty(block["title"]);
  const context = nonEmpty(block["context"]);
  const name = title === undefined ? "document" : `document "${title}"`;
  const lead = context === undefined ? [] : [textPart(`About the ${name}: ${context}`)];
  switch (source["type"]) {
    case "text": {
      const text = nonEmpty(source["data"]);
      return text === undefined ? [] : [...lead, textPart(`${title === undefined ? "" : `${title}\n\n`}${text}`)];
    }
    case "content":
      return [
        ...lead,
        ...(title === undefined ? [] : [textPart(title)]),
        ...blocksOf(source["content"]).flatMap((inner) => toParts(inner, dialect)),
      ];
    case "base64":
    case "url": {
      const file = toFile(source, title, dialect);
      return [...lead, file ?? textPart(documentNote(name, source))];
    }
    default:
      return [...lead, textPart(`[A ${name} that is stored elsewhere; it cannot be shown to this model.]`)];
  }
}

function toFile(source: Json, title: string | undefined, dialect: Dialect): ChatFilePart | undefined {
  const fromUrl = source["type"] === "url";
  if (dialect.pdf === "none" || (fromUrl && dialect.pdf !== "data-and-url")) return undefined;
  const data = sourceUrl(source, "application/pdf");
  if (data === undefined) return undefined;
  const filename = title === undefined ? "document.pdf" : title.toLowerCase().endsWith(".pdf") ? title : `${title}.pdf`;
  return { type: "file", file: { filename, file_data: data } };
}

function documentNote(name: string, source: Json): string {
  const url = source["type"] === "url" ? nonEmpty(source["url"]) : undefined;
  const where = url === undefined ? "" : ` at ${url}`;
  return `[A ${name} (PDF)${where} was attached; this model's provider cannot read PDF files.]`;
}

/** A source as a URL: its own, or its data as a `data:` URL. */
function sourceUrl(source: Json, defaultMediaType: string): string | undefined {
  if (source["type"] === "url") return nonEmpty(source["url"]);
  const data = source["type"] === "base64" ? nonEmpty(source["data"]) : undefined;
  return data === undefined ? undefined : `data:${nonEmpty(source["media_type"]) ?? defaultMediaType};base64,${data}`;
}

/** Text for blocks without a counterpart. Empty for blocks that only Anthropic's servers can read. */
function toText(block: Json): string {
  switch (block["type"]) {
    case "search_result": {
      const head = [nonEmpty(block["title"]), nonEmpty(block["source"])].filter((line) => line !== undefined);
      return [...head, ...blocksOf(block["content"]).map((inner) => nonEmpty(inner["text"]) ?? "")].join("\n");
    }
    case "tool_reference":
      return `The tool ${nonEmpty(block["tool_name"]) ?? ""} is available now.`;
    case "web_search_tool_result":
      return asArray(block["content"])
        .filter(isRecord)
        .map((hit) => `${nonEmpty(hit["title"]) ?? ""} ${nonEmpty(hit["url"]) ?? ""}`.trim())
        .join("\n");
    case "browser_state":
      return JSON.stringify({ tabs: block["tabs"], state_changes: block["state_changes"] });
    default:
      return nonEmpty(block["text"]) ?? "";
  }
}
