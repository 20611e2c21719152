/** Explains a tool's real result to the person who asked. */
import type { ToolOutcome } from "./conversation.ts";

const MAX_OUTPUT = 10_000;
/** The engine's words when the permission mode refuses a tool. */
const DENIED =
  /\b(?:requires?|needs?) approval\b|haven['’]t granted|permission to use \w+ has been denied|\bwhile in plan mode\b|^auto mode is unavailable|^claude requested permissions?\b|outside (?:of )?(?:the )?allowed (?:working )?director/i;
/** The engine's words when a person declines a tool call. */
const DECLINED =
  /user doesn['’]t want to (?:proceed|take this action)|tool use was rejected|user (?:denied|rejected|declined)/i;

/** How a tool call ended. */
export type Verdict = "done" | "failed" | "denied" | "declined" | "unanswered";

/** Judges a result. A command that ran and failed is never a denial, even if its output reads like one. */
export function verdictOf(outcome: ToolOutcome): Verdict {
  if (outcome.output === null) return "unanswered";
  if (!outcome.isError) return "done";
  if (/^Exit code \d+/.test(outcome.output)) return "failed";
  if (DECLINED.test(outcome.output)) return "declined";
  return DENIED.test(outcome.output) ? "denied" : "failed";
}

/** Why a tool call did not succeed. `deed` completes "I was not allowed to ...". */
export function explainFailure(outcome: ToolOutcome, deed: string): string {
  const said = (outcome.output ?? "").split("\n")[0]?.slice(0, 300) ?? "";
  switch (verdictOf(outcome)) {
    case "denied":
      return (
        `I was not allowed to ${deed}: the permission mode refused the ${outcome.name} tool ("${said}").\n\n` +
        'To allow it, put `"permissionMode":"bypassPermissions"` into the request, or start the server with ' +
        "`GANTRY_PERMISSION_MODE=bypassPermissions`."
      );
    case "declined":
      return `I did not ${deed}: the ${outcome.name} tool call was declined. Nothing was changed.`;
    case "failed":
      return `I tried to ${deed}, but the ${outcome.name} tool failed:\n\n${fenced(outcome.output ?? "")}`;
    case "done":
    case "unanswered":
      return `I tried to ${deed}, but no result of the ${outcome.name} tool came back.`;
  }
}

/** What a command printed, as a sentence. */
export function printed(outcome: ToolOutcome): string {
  const output = outcome.output ?? "";
  return output === "" || output === "(Bash completed with no output)"
    ? "It printed nothing."
    : `It printed:\n\n${fenced(output)}`;
}

/** A file's text from a result of the Read tool, without the line numbers. */
export function fileText(outcome: ToolOutcome): string {
  return (outcome.output ?? "").replace(/^ *\d+[\t→]/gm, "");
}

/** The text as a code block, cut to a length that a person may still read. */
export function fenced(text: string): string {
  const fence = text.includes("```") ? "~~~~" : "```";
  const shown =
    text.length > MAX_OUTPUT ? `${text.slice(0, MAX_OUTPUT)}\n[${text.length - MAX_OUTPUT} more characters]` : text;
  return `${fence}\n${shown.replace(/\n$/, "")}\n${fence}`;
}
