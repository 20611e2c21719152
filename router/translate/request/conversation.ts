/**
 * Translates a conversation in Anthropic's format into messages of the OpenAI dialect.
 *
 * The dialect has one hard rule: an assistant message with tool calls must be followed directly by one tool message for
 * each call. So results are looked up by call in the whole conversation, and everything else in a user turn (text, images
 * of results, reminders) comes after them.
 */
import { isRecord, nonEmpty, type Json } from "../../base/json.ts";
import { toUpstreamId } from "../round-trip/call-ids.ts";
import { detailsOf } from "../round-trip/reasoning.ts";
import { shortToolName, UNNAMED_TOOL } from "../round-trip/tools.ts";
import type { ChatAssistant, ChatMessage, ChatPart, ChatTextPart, ChatTool } from "./chat.ts";
import { blocksOf, joinText, textPart, toContent, toParts } from "./content.ts";
import type { Dialect } from "./dialects.ts";

/** Claude Code's first system line, for Anthropic's billing. It changes with each request and would defeat prompt caches. */
const BILLING_LINE = "x-anthropic-billing-header:";

interface Turn {
  readonly role: "user" | "assistant" | "system";
  readonly blocks: readonly Json[];
}

interface Result {
  readonly turn: number;
  readonly block: Json;
}

/** The translated conversation. */
export interface Conversation {
  readonly messages: ChatMessage[];
  /** Ids of the tool calls in it, as the client writes them. */
  readonly callIds: ReadonlySet<string>;
}

/** Translates the system prompt and the messages of a request. */
export function toChatMessages(system: unknown, messages: readonly unknown[], dialect: Dialect): Conversation {
  const turns = messages.filter(isRecord).map(toTurn);
  const waiting = indexResults(turns);
  const used = new Set<Json>();
  const callIds = new Set<string>();
  const out: ChatMessage[] = [];

  const systemParts = toSystem(system, dialect);
  if (systemParts.length > 0) {
    const content = toContent(systemParts);
    // The blocks of a system prompt are paragraphs of one text.
    out.push({ role: "system", content: typeof content === "string" ? joinParagraphs(systemParts) : content });
  }

  for (const [i, turn] of turns.entries()) {
    if (turn.role !== "assistant") {
      const parts = turn.blocks.flatMap((block) => (used.has(block) ? [] : userParts(turn, block, dialect)));
      if (parts.length > 0) out.push({ role: "user", content: toContent(parts) });
      continue;
    }
    const assistant = toAssistant(turn.blocks, dialect, callIds);
    if (assistant === undefined) continue;
    out.push(assistant.message);
    const pictures: ChatPart[] = [];
    for (const [at, call] of (assistant.message.tool_calls ?? []).entries()) {
      const result = takeResult(waiting, assistant.clientIds[at] ?? "", i);
      if (result !== undefined) used.add(result);
      const { message, extra } = toToolMessage(call.id, result, dialect);
      out.push(message);
      if (extra.length > 0) pictures.push(textPart(`From the result of ${call.function.name} (${call.id}):`), ...extra);
    }
    if (pictures.length > 0) out.push({ role: "user", content: pictures });
  }
  return { messages: out, callIds };
}

function toTurn(message: Json): Turn {
  const role = message["role"];
  return {
    role: role === "assistant" || role === "system" ? role : "user",
    blocks: blocksOf(message["content"]),
  };
}

function toSystem(system: unknown, dialect: Dialect): ChatTextPart[] {
  const blocks = blocksOf(system).filter((block) => !nonEmpty(block["text"])?.startsWith(BILLING_LINE));
  return blocks.flatMap((block) => toParts(block, dialect)).filter((part) => part.type === "text");
}

function joinParagraphs(parts: readonly ChatTextPart[]): string {
  return parts.map((part) => part.text).join("\n\n");
}

/** Results by the id of their call, in order, because a later turn may reuse an id. */
function indexResults(turns: readonly Turn[]): Map<string, Result[]> {
  const results = new Map<string, Result[]>();
  for (const [turn, { role, blocks }] of turns.entries()) {
    if (role === "assistant") continue;
    for (const block of blocks) {
      if (block["type"] !== "tool_result") continue;
      const id = String(block["tool_use_id"]);
      const list = results.get(id);
      if (list === undefined) results.set(id, [{ turn, block }]);
      else list.push({ turn, block });
    }
  }
  return results;
}

/** Takes the call's first unused result that comes after the call. */
function takeResult(results: Map<string, Result[]>, id: string, after: number): Json | undefined {
  const list = results.get(id);
  const at = list?.findIndex((result) => result.turn > after) ?? -1;
  return at < 0 ? undefined : list?.splice(at, 1)[0]?.block;
}

/** The parts of a user or system turn other than the results that already follow their calls. */
function userParts(turn: Turn, block: Json, dialect: Dialect): ChatPart[] {
  if (block["type"] === "tool_result") {
    // The conversation lacks its call (a client compacted it away), so its text is kept.
    const { text, extra } = splitResult(block, dialect);
    return [textPart(`Result of an earlier tool call (${String(block["tool_use_id"])}):\n${text}`), ...extra];
  }
  const parts = toParts(block, dialect);
  if (turn.role !== "system") return parts;
  // Many chat templates accept a system message only at the beginning. Claude Code marks such text with this tag.
  return parts.map((part) =>
    part.type === "text" ? { ...part, text: `<system-reminder>\n${part.text}\n</system-reminder>` } : part,
  );
}

function toToolMessage(
  id: string,
  result: Json | undefined,
  dialect: Dialect,
): { message: ChatTool; extra: ChatPart[] } {
  if (result === undefined) {
    return { message: { role: "tool", tool_call_id: id, content: "(no result: the call was interrupted)" }, extra: [] };
  }
  const { text, extra } = splitResult(result, dialect);
  const mark = dialect.cacheControl && isRecord(result["cache_control"]) ? result["cache_control"] : undefined;
  const content = mark === undefined ? text : [{ ...textPart(text), cache_control: mark }];
  return { message: { role: "tool", tool_call_id: id, content }, extra };
}

/** A result as text that is never empty, and the parts that a tool message cannot contain. */
function splitResult(result: Json, dialect: Dialect): { text: string; extra: ChatPart[] } {
  const parts = blocksOf(result["content"]).flatMap((block) => toParts(block, dialect));
  const extra = parts.filter((part) => part.type !== "text");
  const said = joinText(parts);
  const text = said !== "" ? said : extra.length > 0 ? "(see the attachment below)" : "(no output)";
  const failed = result["is_error"] === true && !/^(?:<tool_use_error>|error\b)/i.test(text.slice(0, 20));
  return { text: failed ? `Error: ${text}` : text, extra };
}

function toAssistant(
  blocks: readonly Json[],
  dialect: Dialect,
  callIds: Set<string>,
): { message: ChatAssistant; clientIds: string[] } | undefined {
  const texts: ChatPart[] = [];
  const clientIds: string[] = [];
  const calls: NonNullable<ChatAssistant["tool_calls"]> = [];
  let thinking = "";
  const details: unknown[] = [];
  for (const block of blocks) {
    switch (block["type"]) {
      case "thinking":
        thinking += nonEmpty(block["thinking"]) ?? "";
        details.push(...(detailsOf(block["signature"]) ?? []));
        break;
      case "redacted_thinking":
        details.push(...(detailsOf(block["data"]) ?? []));
        break;
      case "tool_use": {
        const id = nonEmpty(block["id"]) ?? `call_${calls.length}`;
        callIds.add(id);
        clientIds.push(id);
        const upstream = toUpstreamId(id, dialect.callIds);
        const extra = dialect.callExtras ? (upstream.extra ?? dialect.callExtraDefault) : undefined;
        calls.push({
          id: upstream.id,
          ...(extra === undefined ? {} : { extra_content: extra }),
          type: "function",
          function: {
            name: shortToolName(nonEmpty(block["name"]) ?? UNNAMED_TOOL),
            arguments: JSON.stringify(isRecord(block["input"]) ? block["input"] : {}),
          },
        });
        break;
      }
      case "server_tool_use": // Anthropic ran it; a readable result is part of the turn's text
        break;
      default:
        texts.push(...toParts(block, dialect));
    }
  }
  const text = joinText(texts);
  // A turn with only thinking has nothing to show another model, and an empty message would be refused.
  if (text === "" && calls.length === 0) return undefined;
  const message: ChatAssistant = {
    role: "assistant",
    content: text === "" ? null : text,
    ...reasoningBack(thinking, details, calls.length > 0, dialect),
  };
  if (calls.length > 0) message.tool_calls = calls;
  return { message, clientIds };
}

function reasoningBack(
  thinking: string,
  details: unknown[],
  hasCalls: boolean,
  dialect: Dialect,
): Partial<ChatAssistant> {
  switch (dialect.reasoningBack) {
    case null:
      return {};
    case "reasoning":
      return thinking === "" ? {} : { reasoning: thinking };
    case "reasoning_content":
      return thinking === "" && !(hasCalls && dialect.reasoningRequired) ? {} : { reasoning_content: thinking };
    case "reasoning_details":
      if (details.length > 0) return { reasoning_details: details };
      return thinking === "" ? {} : { reasoning: thinking };
  }
}
