/** Answers questions about the conversation from its earlier prompts, to show that a session remembers. */
import type { Conversation } from "./conversation.ts";
import { withoutScripts } from "./script.ts";

const SHOWN = 10;
const MAX_SHOWN_LENGTH = 300;
const MAX_READ = 10_000;
const ABOUT_EARLIER =
  /\b(?:did|have|had)\s+i\b.*\b(?:say|said|ask|asked|tell|told|type|typed|write|written|wrote|mention|mentioned|remember)\b|\bwhat\s+i\s+(?:\w+\s+){0,2}(?:said|asked|told|typed|wrote|mentioned)\b|\b(?:do|can)\s+you\s+(?:still\s+)?remember\b|\bwhat\s+do\s+you\s+remember\b|\bmy\s+(?:last|first|previous|earlier)\s+(?:message|prompt|question|request)s?\b/i;
const ASKS_FACT = /\b(?:what(?:'s|’s|\s+is|\s+was)|tell\s+me|do\s+you\s+know)\s+my\s+([\w ]{1,40}?)\s*[?.!]*$/i;
const STATES = /^(?:please\s+)?(?:remember|note|keep in mind)\b|\bmy\s+[\w ]{1,40}?\s+is\s+\S/i;

/** The answer, or null when the prompt is not about the conversation. */
export function memoryText(conversation: Conversation): string | null {
  // One space between words, because the patterns are slow on runs of spaces.
  const prompt = conversation.prompt.replace(/\s+/g, " ");
  const earlier = conversation.earlierPrompts
    .map((text) => withoutScripts(text).slice(0, MAX_READ).replace(/\s+/g, " ").trim())
    .filter((text) => text !== "");
  const asked = ASKS_FACT.exec(prompt)?.[1];
  if (asked !== undefined) {
    const fact = new RegExp(String.raw`\bmy\s+${asked.trim()}\s+is\s+([^.,;!?\n]+)`, "i");
    for (const text of earlier.toReversed()) {
      const value = fact.exec(text)?.[1]?.trim();
      if (value !== undefined) return `Your ${asked.trim()} is ${value}. You said so earlier in this conversation.`;
    }
    return listOf(earlier);
  }
  if (ABOUT_EARLIER.test(prompt)) return listOf(earlier);
  if (STATES.test(prompt)) return "Noted. Ask me later in this session what you said, and I will tell you.";
  return null;
}

function listOf(earlier: readonly string[]): string {
  if (earlier.length === 0)
    return "This is the first message of our conversation that I can see: you said nothing before it.";
  const shown = earlier.slice(-SHOWN);
  const first = earlier.length - shown.length;
  const lines = shown.map((text, index) => `${first + index + 1}. ${clipped(text)}`);
  return `Earlier in this conversation you said:\n\n${lines.join("\n")}`;
}

function clipped(text: string): string {
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}...` : text;
}
