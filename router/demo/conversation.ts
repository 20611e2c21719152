/**
 * What the demonstration model understands of a Messages request: whose turn it is, what was asked, what came of it.
 *
 * Stateless on purpose: everything is read from the request, so any isolate can answer any call of a run.
 */
import type { MessagesBody } from "../upstreams/upstream.ts";

/** One tool call of the model and what the engine answered. */
export interface ToolOutcome {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Text of the result, engine reminders removed; null while there is no result. */
  readonly output: string | null;
  readonly isError: boolean;
}

export interface Conversation {
  /** `summary`: the engine compacts its context. `title`: the engine names the session. Neither is a person's prompt. */
  readonly purpose: "prompt" | "summary" | "title";
  /** What the person asked last, engine texts removed; "" when nothing of it is left (after a compaction). */
  readonly prompt: string;
  /** Everything typed in the prompt's message: the prompt is its last part when the engine joined several. Scripts are looked for here. */
  readonly promptMessage: string;
  /** Earlier prompts, oldest first. */
  readonly earlierPrompts: readonly string[];
  /** Model answers since the prompt. */
  readonly replies: number;
  /** Tool calls since the prompt, in order. */
  readonly outcomes: readonly ToolOutcome[];
  /** Where the engine works, or null when the request does not say. */
  readonly workingDirectory: string | null;
  /** Names of the tools that may be called. */
  readonly tools: ReadonlySet<string>;
}

/** How a summary made by this model keeps a prompt, so that memory outlives a compaction: the text as a JSON string. */
export const SUMMARY_PROMPT_LINE = "- The user wrote: ";

/** Whole blocks that the engine itself adds between prompts. */
const ENGINE_BLOCK =
  /^(?:\[Request interrupted by user|Output token limit hit\. Resume directly|Your response above was cut off mid-stream\.|Continue from where you left off\.$|This session is being continued from a previous conversation)/;
const INTERRUPTED = /^\[Request interrupted by user/;
const CONTINUED = /^This session is being continued from a previous conversation/;
const COMPACTION =
  /^CRITICAL: Respond with TEXT ONLY\b|\bcreate a detailed summary of (?:the|this|our) conversation\b/i;
const TITLE_SYSTEM = /\bnaming a coding session\b/;
const TITLE_PROMPT = /^<session>([\s\S]*?)<\/session>/;
const ENGINE_TAG =
  /<(system-reminder|local-command-caveat|local-command-stdout|local-command-stderr|command-name|command-message|command-args|task-notification)>[\s\S]*?<\/\1>/g;
const REMINDER = /<system-reminder>[\s\S]*?<\/system-reminder>/g;
const WORKING_DIRECTORY = /^[ \t-]*(?:primary |current )?working directory:[ \t]*(\S.*?)[ \t]*$/gim;

/** Reads a request. Never throws: what it does not know it skips. */
export function toConversation(body: MessagesBody): Conversation {
  const messages = body.messages.filter(isRecord);
  const systemTexts = textsOf(body.system);
  const last = messages.findLastIndex((message) => message["role"] === "user");
  const lastText = last < 0 ? "" : textsOf(messages[last]?.["content"]).join("\n").replace(ENGINE_TAG, "").trim();
  const common = { workingDirectory: workingDirectoryOf(systemTexts, messages), tools: toolNamesOf(body.tools) };

  const title = TITLE_PROMPT.exec(lastText);
  if (title && systemTexts.some((text) => TITLE_SYSTEM.test(text))) {
    const prompt = (title[1] ?? "").trim();
    return { ...common, purpose: "title", prompt, promptMessage: prompt, earlierPrompts: [], replies: 0, outcomes: [] };
  }

  const prompts = promptsOf(messages);
  if (COMPACTION.test(lastText)) {
    const earlierPrompts = prompts.flatMap((found) => found.parts);
    return { ...common, purpose: "summary", prompt: "", promptMessage: "", earlierPrompts, replies: 0, outcomes: [] };
  }

  const current = prompts.findLast((found) => !found.summarised);
  const earlier = prompts.filter((found) => found !== current).flatMap((found) => found.parts);
  const since = messages.slice(current === undefined ? 0 : current.index + 1);
  return {
    ...common,
    purpose: "prompt",
    prompt: current?.parts.at(-1) ?? "",
    promptMessage: current?.parts.join("\n") ?? "",
    earlierPrompts: [...earlier, ...(current?.parts.slice(0, -1) ?? [])],
    replies: since.filter(isReply).length,
    outcomes: outcomesOf(since),
  };
}

interface FoundPrompt {
  readonly index: number;
  readonly parts: readonly string[];
  /** Taken from a summary: remembered, but nothing to answer. */
  readonly summarised: boolean;
}

function promptsOf(messages: readonly Record<string, unknown>[]): FoundPrompt[] {
  const found: FoundPrompt[] = [];
  messages.forEach((message, index) => {
    if (message["role"] !== "user") return;
    const texts = textsOf(message["content"]);
    const summary = texts.find((text) => CONTINUED.test(text));
    if (summary !== undefined) found.push({ index, parts: summarisedPrompts(summary), summarised: true });
    const stripped = texts.map((text) => text.replace(ENGINE_TAG, "").trim());
    // Text beside a tool result is the engine's (a loaded skill, an image's caption), unless the person broke in there.
    const besideResult = blocksOf(message["content"]).some((block) => block["type"] === "tool_result");
    const afterStop = stripped.findLastIndex((text) => INTERRUPTED.test(text)) + 1;
    if (besideResult && afterStop === 0 && !stripped.some((text) => text.includes("<<script["))) return;
    const parts = stripped.filter((text) => text !== "" && !ENGINE_BLOCK.test(text));
    const fresh = stripped.slice(afterStop).filter((text) => text !== "" && !ENGINE_BLOCK.test(text));
    if (afterStop > 0 && fresh.length > 0 && fresh.length < parts.length) {
      found.push({ index, parts: parts.slice(0, parts.length - fresh.length), summarised: false });
      found.push({ index, parts: fresh, summarised: false });
    } else if (parts.length > 0) found.push({ index, parts, summarised: false });
  });
  return found;
}

function summarisedPrompts(summary: string): string[] {
  return summary.split("\n").flatMap((line) => {
    if (!line.startsWith(SUMMARY_PROMPT_LINE)) return [];
    try {
      const text: unknown = JSON.parse(line.slice(SUMMARY_PROMPT_LINE.length));
      return typeof text === "string" ? [text] : [];
    } catch {
      return [];
    }
  });
}

/** The engine closes an interrupted turn with an answer that no model gave. */
function isReply(message: Record<string, unknown>): boolean {
  return message["role"] === "assistant" && textsOf(message["content"]).join("") !== "No response requested.";
}

function outcomesOf(messages: readonly Record<string, unknown>[]): ToolOutcome[] {
  const results = new Map<unknown, Record<string, unknown>>();
  const calls: Record<string, unknown>[] = [];
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
      output: result === undefined ? null : textsOf(result["content"]).join("\n").replace(REMINDER, "").trim(),
      isError: result?.["is_error"] === true,
    };
  });
}

/**
 * Claude Code says where it works in an environment block: in a message of role `system`, and in earlier or other
 * configurations in the system prompt or in a reminder. The last one counts, because a session may be resumed elsewhere.
 */
function workingDirectoryOf(
  systemTexts: readonly string[],
  messages: readonly Record<string, unknown>[],
): string | null {
  const sources = messages.flatMap((message) => {
    const texts = textsOf(message["content"]);
    if (message["role"] === "system") return texts;
    return message["role"] === "user" ? texts.flatMap((text) => text.match(REMINDER) ?? []) : [];
  });
  for (const text of [...sources.toReversed(), ...systemTexts.toReversed()]) {
    const match = [...text.matchAll(WORKING_DIRECTORY)].at(-1);
    if (match?.[1] !== undefined) return match[1];
  }
  return null;
}

function toolNamesOf(tools: unknown): ReadonlySet<string> {
  const list = Array.isArray(tools) ? tools.filter(isRecord) : [];
  return new Set(list.flatMap((tool) => (typeof tool["name"] === "string" ? [tool["name"]] : [])));
}

function textsOf(content: unknown): string[] {
  if (typeof content === "string") return [content];
  return blocksOf(content).flatMap((block) =>
    block["type"] === "text" && typeof block["text"] === "string" ? [block["text"]] : [],
  );
}

function blocksOf(content: unknown): Record<string, unknown>[] {
  return Array.isArray(content) ? content.filter(isRecord) : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
