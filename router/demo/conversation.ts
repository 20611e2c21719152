/**
 * Reads the parts of a Messages request that the demonstration model understands: the purpose, the prompt, and the tool
 * results so far.
 *
 * Stateless on purpose: everything comes from the request, so any isolate can answer any call of a run.
 */
import { isRecord } from "../base/json.ts";
import type { MessagesBody } from "../request/request.ts";
import type { Loose } from "./messages.ts";
import { blocksOf, isReply, replyKey, tagged, textsOf, withoutTags } from "./messages.ts";
import type { Carried } from "./summary.ts";
import { readSummary } from "./summary.ts";

/** A tool call of the model and the engine's result. */
export interface ToolOutcome {
  readonly name: string;
  readonly input: Loose;
  /** Text of the result without the engine's reminders; null while there is no result. */
  readonly output: string | null;
  readonly isError: boolean;
}

/** A Messages request, as the demonstration model sees it. */
export interface Conversation {
  /** `prompt`: a person asks. `summary`: the engine compacts its context. `title`: the engine names the session. */
  readonly purpose: "prompt" | "summary" | "title";
  /** The person's last prompt without the engine's texts; "" when the request contains none. */
  readonly prompt: string;
  /** The texts of the prompt's message. The engine may join several prompts into one; `prompt` is the last of them. */
  readonly parts: readonly string[];
  /** Earlier prompts, oldest first. */
  readonly earlierPrompts: readonly string[];
  /** Model answers since the prompt. */
  readonly replies: number;
  /** `replyKey` of the last model answer since the prompt; null when there is none. */
  readonly lastReply: string | null;
  /** True when the prompt still needs an answer: there was none yet, or the last one called a tool. */
  readonly unfinished: boolean;
  /** Tool calls since the prompt, in order. */
  readonly outcomes: readonly ToolOutcome[];
  /** The engine's working directory; null when the request does not say. */
  readonly workingDirectory: string | null;
  /** Names of the tools that the request offers. */
  readonly tools: ReadonlySet<string>;
}

const INTERRUPTED = /^\[Request interrupted by user/;
const CONTINUED = /^This session is being continued from a previous conversation/;
const COMPACTION = /^CRITICAL: Respond with TEXT ONLY\b/;
/** Patterns of texts that the engine itself sends in the role of a prompt. */
const ENGINE_TEXTS = [
  INTERRUPTED,
  CONTINUED,
  COMPACTION,
  /^Output token limit hit\. Resume directly/,
  /^Your response above was cut off mid-stream\./,
  /^Continue from where you left off\.$/,
] as const;
/** Tags of the blocks that the engine inserts into a user message's text. */
const ENGINE_TAGS = [
  "system-reminder",
  "local-command-caveat",
  "local-command-stdout",
  "local-command-stderr",
  "command-name",
  "command-message",
  "command-args",
  "task-notification",
] as const;
const REMINDERS = ["system-reminder"] as const;
const TITLE_SYSTEM = /\bnaming a coding session\b/;
const TITLE_PROMPT = /^<session>([\s\S]*?)<\/session>/;
const WORKING_DIRECTORY = /^[ \t-]*(?:primary |current )?working directory:(.+)$/gim;

/** Reads a request. Never throws: it skips what it does not know. */
export function toConversation(body: MessagesBody): Conversation {
  const messages = body.messages.filter(isRecord);
  const systemTexts = textsOf(body.system);
  const last = messages.findLastIndex((message) => message["role"] === "user");
  const lastTexts = last < 0 ? [] : typedTexts(messages[last]);
  const surroundings = { workingDirectory: workingDirectoryOf(systemTexts, messages), tools: toolNamesOf(body.tools) };

  const title = TITLE_PROMPT.exec(lastTexts.join("\n").trim())?.[1];
  if (title !== undefined && systemTexts.some((text) => TITLE_SYSTEM.test(text))) {
    return { ...surroundings, ...currentOf([], []), purpose: "title", prompt: title.trim() };
  }
  if (lastTexts.some((text) => COMPACTION.test(text))) {
    const before = messages.slice(0, last);
    return { ...surroundings, ...currentOf(promptsOf(before), before), purpose: "summary" };
  }
  return { ...surroundings, ...currentOf(promptsOf(messages), messages), purpose: "prompt" };
}

interface FoundPrompt {
  readonly index: number;
  readonly parts: readonly string[];
  /** For a prompt from a summary: its state, or null when it is finished. Absent for a prompt in the conversation. */
  readonly summarised?: Carried | null;
}

type Current = Omit<Conversation, "purpose" | "workingDirectory" | "tools">;

function currentOf(prompts: readonly FoundPrompt[], messages: readonly Loose[]): Current {
  const current = prompts.findLast((found) => found.summarised !== null);
  const parts = current?.parts ?? [];
  const since = messages.slice((current?.index ?? -1) + 1);
  const replies = since.filter(isReply);
  const carried = current?.summarised;
  // Some answers that the summary counts also follow it word for word.
  const known = carried ? replies.findLastIndex((reply) => replyKey(reply) === carried.lastReply) + 1 : 0;
  const lastReply = replies.at(-1);
  const called =
    lastReply !== undefined && blocksOf(lastReply["content"]).some((block) => block["type"] === "tool_use");
  return {
    prompt: parts.at(-1) ?? "",
    parts,
    earlierPrompts: prompts.filter((found) => found !== current).flatMap((found) => found.parts),
    replies: (carried?.replies ?? 0) + replies.length - known,
    lastReply: lastReply === undefined ? (carried?.lastReply ?? null) : replyKey(lastReply),
    unfinished: parts.length > 0 && (lastReply === undefined || called),
    outcomes: outcomesOf(since),
  };
}

function promptsOf(messages: readonly Loose[]): FoundPrompt[] {
  const found: FoundPrompt[] = [];
  for (const [index, message] of messages.entries()) {
    if (message["role"] !== "user") continue;
    const texts = typedTexts(message);
    const summary = textsOf(message["content"]).find((text) => CONTINUED.test(text));
    if (summary !== undefined) {
      const { prompts, carried } = readSummary(summary);
      if (prompts.length > 0) found.push({ index, parts: prompts, summarised: null });
      if (carried !== null) found.push({ index, parts: carried.parts, summarised: carried });
    }
    const stop = texts.findLastIndex((text) => INTERRUPTED.test(text)) + 1;
    // Text beside a tool result is the engine's (a loaded skill, an image's caption), unless the person interrupted there.
    const besideResult = blocksOf(message["content"]).some((block) => block["type"] === "tool_result");
    if (besideResult && stop === 0 && !texts.some((text) => text.includes("<<script["))) continue;
    for (const parts of [texts.slice(0, stop).filter(isTyped), texts.slice(stop).filter(isTyped)]) {
      if (parts.length === 0) continue;
      // A prompt that started a compaction is in the summary and also follows it.
      if (found.at(-1)?.summarised && found.at(-1)?.parts.join("\n") === parts.join("\n")) found.pop();
      found.push({ index, parts });
    }
  }
  return found;
}

/** A user message's texts without the blocks that the engine inserts. */
function typedTexts(message: Loose | undefined): string[] {
  return textsOf(message?.["content"]).map((text) => withoutTags(text, ENGINE_TAGS).trim());
}

function isTyped(text: string): boolean {
  return text !== "" && !ENGINE_TEXTS.some((pattern) => pattern.test(text));
}

function outcomesOf(messages: readonly Loose[]): ToolOutcome[] {
  const results = new Map<unknown, Loose>();
  const calls: Loose[] = [];
  for (const message of messages) {
    for (const block of blocksOf(message["content"])) {
      if (block["type"] === "tool_result") results.set(block["tool_use_id"], block);
      if (block["type"] === "tool_use" && message["role"] === "assistant") calls.push(block);
    }
  }
  return calls.map((call) => {
    const result = results.get(call["id"]);
    return {
      name: typeof call["name"] === "string" ? call["name"] : "",
      input: isRecord(call["input"]) ? call["input"] : {},
      output: result === undefined ? null : withoutTags(textsOf(result["content"]).join("\n"), REMINDERS).trim(),
      isError: result?.["is_error"] === true,
    };
  });
}

/**
 * Claude Code states its working directory in an environment block: in a message of role `system`, or in other versions in
 * the system prompt or a reminder. The last one counts, because a session may be resumed elsewhere.
 */
function workingDirectoryOf(systemTexts: readonly string[], messages: readonly Loose[]): string | null {
  const sources = messages.flatMap((message) => {
    const texts = textsOf(message["content"]);
    if (message["role"] === "system") return texts;
    return message["role"] === "user"
      ? texts.flatMap((text) => tagged(text, "system-reminder").map((span) => text.slice(span.from, span.to)))
      : [];
  });
  for (const text of [...sources.toReversed(), ...systemTexts.toReversed()]) {
    const directory = [...text.matchAll(WORKING_DIRECTORY)].at(-1)?.[1]?.trim();
    if (directory) return directory;
  }
  return null;
}

function toolNamesOf(tools: unknown): ReadonlySet<string> {
  const list = Array.isArray(tools) ? tools.filter(isRecord) : [];
  return new Set(list.flatMap((tool) => (typeof tool["name"] === "string" ? [tool["name"]] : [])));
}
