/** Exact scripts in a prompt: `<<script[ STEP, STEP, ... ]script>>`. `docs/demo-model.md` has the grammar and examples. */
import { z } from "zod";
import { Step } from "./step.ts";

const OPEN = "<<script[";
const CLOSE = "]script>>";
const Script = z.array(Step).min(1, "a script needs at least one step").max(1000);

/** The step to play, or an error for the person who wrote the script. */
export type ScriptedStep = { readonly step: Step } | { readonly error: string };

/**
 * The step that model call number `replies + 1` of a run plays; null when the prompt contains no script.
 *
 * After its last step a script only repeats that step's text: tools, faults and unusual stop reasons would make the engine
 * call again for ever.
 */
export function scriptedStep(promptMessage: string, replies: number): ScriptedStep | null {
  const source = findScript(promptMessage);
  if (source === null) return null;
  if (source.end === null) return { error: `The script has no end: ${CLOSE} is missing.` };
  let json: unknown;
  try {
    json = JSON.parse(`[${source.end}]`);
  } catch (error) {
    return { error: `The script is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  const parsed = Script.safeParse(json);
  if (!parsed.success) return { error: parsed.error.issues.map(toSentence).join(" ") };
  const steps = parsed.data;
  const step = steps[Math.min(replies, steps.length - 1)];
  if (step === undefined) return null;
  return { step: replies < steps.length ? step : { text: step.text || "done" } };
}

/** The text with each script replaced by a few words, to show a prompt to a person. */
export function withoutScripts(text: string): string {
  let shown = "";
  let at = 0;
  for (const { from, to } of outermostScripts(text)) {
    shown += `${text.slice(at, from)}(a script)`;
    at = to;
  }
  return (shown + text.slice(at)).trim();
}

/** The last outermost script. An inner one belongs to a subagent and is a string in a tool's input. */
function findScript(text: string): { readonly end: string | null } | null {
  const last = outermostScripts(text).at(-1);
  if (last === undefined) return null;
  return { end: last.closed ? text.slice(last.from + OPEN.length, last.to - CLOSE.length) : null };
}

interface Span {
  readonly from: number;
  readonly to: number;
  readonly closed: boolean;
}

function outermostScripts(text: string): Span[] {
  const spans: Span[] = [];
  let depth = 0;
  let from = 0;
  for (const match of text.matchAll(/<<script\[|\]script>>/g)) {
    if (match[0] === OPEN) {
      if (depth === 0) from = match.index;
      depth++;
    } else if (depth > 0) {
      depth--;
      if (depth === 0) spans.push({ from, to: match.index + CLOSE.length, closed: true });
    }
  }
  if (depth > 0) spans.push({ from, to: text.length, closed: false });
  return spans;
}

function toSentence(issue: z.core.$ZodIssue): string {
  const [index, ...keys] = issue.path;
  const where = typeof index === "number" ? `Script step ${index + 1}` : "Script";
  if (issue.code === "unrecognized_keys") {
    const inside = keys.length > 0 ? ` in "${keys.join(".")}"` : "";
    return `${where}: unknown key ${issue.keys.map((key) => `"${key}"`).join(", ")}${inside}.`;
  }
  return keys.length > 0 ? `${where}: "${keys.join(".")}": ${issue.message}.` : `${where}: ${issue.message}.`;
}
