/** Answers the engine's own requests between prompts. Scripts have no effect on them. */
import type { Conversation } from "./conversation.ts";
import { withoutScripts } from "./script.ts";
import type { Step } from "./step.ts";
import { writeSummary } from "./summary.ts";

const MAX_TITLE = 60;

/** The answer when the engine asks for a session's title: JSON, as its schema demands. */
export function titleStep(conversation: Conversation): Step {
  const title = withoutScripts(conversation.prompt).replace(/\s+/g, " ").slice(0, MAX_TITLE).trim();
  return { text: JSON.stringify({ title: title || "Demonstration session" }) };
}

/** The answer when the engine compacts its context. */
export function summaryStep(conversation: Conversation): Step {
  const { unfinished, parts, replies, lastReply, earlierPrompts } = conversation;
  if (unfinished)
    return { text: writeSummary({ prompts: earlierPrompts, carried: { parts: [...parts], replies, lastReply } }) };
  return { text: writeSummary({ prompts: [...earlierPrompts, ...parts], carried: null }) };
}
