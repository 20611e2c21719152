/**
 * Summarizes a conversation when the engine compacts it, in lines that the demonstration model reads again later.
 *
 * Prompts are kept word for word, so that memory outlives a compaction. A prompt in progress is kept with the number of
 * answers so far, so that its script continues at the right step.
 */
import { z } from "zod";
import { withoutScripts } from "./script.ts";

/** The prompt that was in progress when the summary was written. */
const Carried = z.object({
  /** The texts of the prompt's message. */
  parts: z.array(z.string()).min(1),
  /** Model answers to it so far. */
  replies: z.int().min(0),
  /** `replyKey` of the last answer, because the engine keeps some messages word for word after a summary. */
  lastReply: z.string().nullable(),
});
export type Carried = z.infer<typeof Carried>;

/** The content of a summary. */
export interface Remembered {
  readonly prompts: readonly string[];
  readonly carried: Carried | null;
}

const PROMPT_LINE = "- The user wrote: ";
const CARRIED_LINE = "- In progress: ";
const MAX_PROMPTS = 50;
const MAX_PROMPT_LENGTH = 2000;

/** Writes a summary in the form that the engine expects. */
export function writeSummary(remembered: Remembered): string {
  const prompts = remembered.prompts.map(withoutScripts).filter(Boolean).slice(-MAX_PROMPTS);
  const lines = prompts.map((prompt) => PROMPT_LINE + JSON.stringify(prompt.slice(0, MAX_PROMPT_LENGTH)));
  if (remembered.carried !== null) lines.push(CARRIED_LINE + JSON.stringify(remembered.carried));
  return [
    "<analysis>\nThe scripted demonstration model keeps what was asked, word for word.\n</analysis>\n",
    "<summary>\nWhat was asked so far:",
    ...(lines.length > 0 ? lines : ["- Nothing."]),
    "</summary>",
  ].join("\n");
}

/** Reads a summary. Never throws: it skips lines that it did not write. */
export function readSummary(text: string): Remembered {
  const prompts: string[] = [];
  let carried: Carried | null = null;
  for (const line of text.split("\n")) {
    if (line.startsWith(PROMPT_LINE))
      prompts.push(
        ...z
          .array(z.string())
          .catch([])
          .parse([jsonOf(line, PROMPT_LINE)]),
      );
    if (line.startsWith(CARRIED_LINE)) carried = Carried.nullable().catch(null).parse(jsonOf(line, CARRIED_LINE));
  }
  return { prompts, carried };
}

function jsonOf(line: string, prefix: string): unknown {
  try {
    return JSON.parse(line.slice(prefix.length));
  } catch {
    return null;
  }
}
