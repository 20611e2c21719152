/**
 * What the demonstration model understands of a Messages request: whose turn it is, what was asked, what came of it.
 *
 * Stateless on purpose: everything is read from the request, so any isolate can answer any call of a run.
 */
import { isRecord } from "../base/json.ts";
import type { MessagesBody } from "../request/request.ts";
import type { Loose } from "./messages.ts";
import { blocksOf, isReply, replyKey, tagged, textsOf, withoutTags } from "./messages.ts";
import type { Carried } from "./summary.ts";
import { readSummary } from "./summary.ts";

/** One tool call of the model and what the engine answered. */
export interface ToolOutcome {
  readonly name: string;
  readonly input: Loose;
  /** Text of the result, engine reminders removed; null while there is no result. */
  readonly output: string | null;
  readonly isError: boolean;
}

export interface Conversation {
  /** `summary`: the engine compacts its context. `title`: the engine names the session. Neither is a person's prompt. */
  readonly purpose: "prompt" | "summary" | "title";
  /** What the person asked last, engine texts removed; "" when nothing of it is there. */
  readonly prompt: string;
  /** The texts of the prompt's message; `prompt` is the last one, because the engine may join several prompts in one message. */
  readonly parts: readonly string[];
  /** Earlier prompts, oldest first. */
  readonly earlierPrompts: readonly string[];
  /** Model answers since the prompt. */
  readonly replies: number;
  /** `replyKey` of the last of them. */
  readonly lastReply: string | null;
  /** The prompt waits for an answer: its last one called a tool, or there was none. */
  readonly unfinished: boolean;
  /** Tool calls since the prompt, in order. */
  readonly outcomes: readonly ToolOutcome[];
  /** Where the engine works, or null when the request does not say. */
  readonly workingDirectory: string | null;
  /** Names of the tools that may be called. */
  readonly tools: ReadonlySet<string>;
}

const INTERRUPTED = /^\[Request interrupted by user/;
const CONTINUED = /^This session is being continued from a previous conversation/;
const COMPACTION = /^CRITICAL: Respond with TEXT ONLY\b/;
/** Whole texts that the engine itself puts where prompts stand. */
const ENGINE_TEXTS = [
  INTERRUPTED,
  CONTINUED,
  COMPACTION,
  /^Output token limit hit\. Resume directly/,
  /^Your response above was cut off mid-stream\./,
  /^Continue from where you left off\.$/,
] as const;
/** Blocks that the engine weaves into a user message's text. */
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

/** Reads a request. Never throws: what it does not know it skips. */
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
  /** Read from a summary: `null` when it is over, else its place. Absent for a prompt that stands there itself. */
  readonly summarised?: Carried | null;
}

type Current = Omit<Conversation, "purpose" | "workingDirectory" | "tools">;

function currentOf(prompts: readonly FoundPrompt[], messages: readonly Loose[]): Current {
  const current = prompts.findLast((found) => found.summarised !== null);
  const parts = current?.parts ?? [];
  const since = messages.slice((current?.index ?? -1) + 1);
  const replies = since.filter(isReply);
  const carried = current?.summarised;
  // Some answers that the summary counted stand behind it word for word.
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
    // Text beside a tool result is the engine's (a loaded skill, an image's caption), unless the person broke in there.
    const besideResult = blocksOf(message["content"]).some((block) => block["type"] === "tool_result");
    if (besideResult && stop === 0 && !texts.some((text) => text.includes("<<script["))) continue;
    for (const parts of [texts.slice(0, stop).filter(isTyped), texts.slice(stop).filter(isTyped)]) {
      if (parts.length === 0) continue;
      // A prompt that started a compaction is in the summary and stands behind it as well.
      if (found.at(-1)?.summarised && found.at(-1)?.parts.join("\n") === parts.join("\n")) found.pop();
      found.push({ index, parts });
    }
  }
  return found;
}

/** What is left of a user message's texts without the blocks that the engine weaves in. */
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
 * Claude Code says where it works in an environment block: in a message of role `system`, and in other versions in the
 * system prompt or in a reminder. The last one counts, because a session may be resumed elsewhere.
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
