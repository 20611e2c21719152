/** Answers to what the engine asks for itself, between prompts. Scripts play no part in them. */
import type { Conversation } from "./conversation.ts";
import { SUMMARY_PROMPT_LINE } from "./conversation.ts";
import { withoutScripts } from "./script.ts";
import type { Step } from "./step.ts";

const MAX_TITLE = 60;
const MAX_PROMPTS = 50;

/** The engine names a session: JSON, as its schema asks. */
export function titleStep(conversation: Conversation): Step {
  const title = withoutScripts(conversation.prompt).replace(/\s+/g, " ").slice(0, MAX_TITLE).trim();
  return { text: JSON.stringify({ title: title || "Demonstration session" }) };
}

/** The engine compacts its context. The prompts are kept in a form that `toConversation` reads again. */
export function summaryStep(conversation: Conversation): Step {
  const prompts = conversation.earlierPrompts.map(withoutScripts).filter(Boolean).slice(-MAX_PROMPTS);
  const lines = prompts.map((prompt) => SUMMARY_PROMPT_LINE + JSON.stringify(prompt.slice(0, 2000)));
  const list = lines.length > 0 ? lines.join("\n") : "- Nothing was asked yet.";
  return {
    text: `<analysis>\nThe scripted demonstration model keeps what was asked, word for word.\n</analysis>\n\n<summary>\nWhat was asked so far:\n${list}\n</summary>`,
  };
}
