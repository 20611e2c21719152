/**
 * How the demonstration model summarises a conversation when the engine compacts it: lines that it reads again later.
 *
 * Prompts stay what they were, so that memory outlives a compaction; a prompt that is being worked on is carried with
 * its place, so that a script goes on where it was.
 */
import { z } from "zod";
import { withoutScripts } from "./script.ts";

/** The prompt that was being worked on when the summary was written. */
const Carried = z.object({
  /** The prompt's message, in its parts. */
  parts: z.array(z.string()).min(1),
  /** Model answers that were given to it. */
  replies: z.int().min(0),
  /** `replyKey` of the last of them: the engine keeps some messages behind a summary word for word. */
  lastReply: z.string().nullable(),
});
export type Carried = z.infer<typeof Carried>;

export interface Remembered {
  readonly prompts: readonly string[];
  readonly carried: Carried | null;
}

const PROMPT_LINE = "- The user wrote: ";
const CARRIED_LINE = "- In progress: ";
const MAX_PROMPTS = 50;
const MAX_PROMPT_LENGTH = 2000;

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

/** Total: lines that are not ours are skipped. */
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
