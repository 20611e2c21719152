/**
 * Scripts for the OpenAI-compatible test server. They are part of the prompt, `<<script[ ...steps ]script>>`, so that a
 * test controls a whole conversation and the server remembers nothing. Model call N after the prompt plays step N.
 */

/** One model call. It may have several of `reasoning`, `text` and tools, which are sent in this order. */
export interface Step {
  reasoning?: string;
  text?: string;
  /** One tool call... */
  tool?: string;
  input?: unknown;
  /** ...or several in parallel. */
  tools?: { name: string; input?: unknown; id?: string }[];
  /** Overrides the computed usage. */
  usage?: Record<string, unknown>;
  finish?: string;
  /** Wait before the first byte. */
  ttftMs?: number;
  /** Characters per delta. */
  chunk?: number;
  chunkMs?: number;
  /** The socket dies after this many deltas. */
  cutAfter?: number;
  /** Message of an error object sent instead of the end. */
  streamError?: string;
  /** Fails the first `times` tries of this step; without `times`, every try. */
  fail?: { status?: number; times?: number; retryAfter?: number; message?: string; reset?: boolean };
}

interface ChatMessageLike {
  role?: string;
  content?: unknown;
}

/** A step's tool calls, in one form. */
export function callsOf(step: Step): { name: string; input: unknown; id?: string }[] {
  if (step.tools !== undefined) return step.tools.map((tool) => ({ ...tool, input: tool.input ?? {} }));
  return step.tool === undefined ? [] : [{ name: step.tool, input: step.input ?? {} }];
}

/** The step that a request asks for, with its prompt and its number. */
export function chooseStep(messages: readonly ChatMessageLike[]): { prompt: string; number: number; step: Step } {
  const at = promptIndex(messages);
  const prompt = textOf(messages[at]);
  const number = messages.slice(at + 1).filter((message) => message.role === "assistant").length;
  const script = scriptIn(prompt);
  if (script === undefined) return { prompt, number, step: { text: `echo: ${prompt.slice(0, 2000)}` } };
  const steps = parseSteps(script);
  // After its last step a script must not call the last tool for ever.
  return { prompt, number, step: steps[number] ?? { text: "done" } };
}

/** The user message that began the turn. One that directly follows tool messages belongs to them, not to a person. */
function promptIndex(messages: readonly ChatMessageLike[]): number {
  for (let i = messages.length - 1; i >= 0; i--) {
    if (messages[i]?.role !== "user") continue;
    const text = textOf(messages[i]);
    if (text === "") continue;
    if (messages[i - 1]?.role === "tool" && scriptIn(text) === undefined) continue;
    return i;
  }
  return messages.length;
}

/** The text that a person wrote, without the client's reminders. */
function textOf(message: ChatMessageLike | undefined): string {
  const content = message?.content;
  const parts = Array.isArray(content) ? (content as { text?: unknown }[]).map((part) => part.text) : [content];
  const text = parts.filter((part) => typeof part === "string").join("\n");
  let out = "";
  let rest = text;
  for (;;) {
    const open = rest.indexOf("<system-reminder>");
    const close = rest.indexOf("</system-reminder>", open);
    if (open < 0 || close < 0) return (out + rest).trim();
    out += rest.slice(0, open);
    rest = rest.slice(close + "</system-reminder>".length);
  }
}

function scriptIn(prompt: string): string | undefined {
  const open = prompt.lastIndexOf("<<script");
  const close = prompt.indexOf("script>>", open);
  return open < 0 || close < 0 ? undefined : prompt.slice(open + "<<script".length, close);
}

function parseSteps(script: string): Step[] {
  try {
    const steps = JSON.parse(script) as Step | Step[];
    return Array.isArray(steps) ? steps : [steps];
  } catch (error) {
    return [{ text: `The script is not JSON: ${String(error)}` }];
  }
}
