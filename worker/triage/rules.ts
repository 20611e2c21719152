import type { Rule, When } from "./config.ts";
import type { TriagePrompt, TriageStep } from "./triage.ts";

/** Rules look at this much of a prompt: a regular expression over ten megabytes would block all other requests. */
const LOOKED_AT_CHARS = 200_000;

/** Compiles conditions into a function that says whether all of them hold for a prompt. */
export function toCondition(when: When): (prompt: TriagePrompt) => boolean {
  const pattern = when.matches === undefined ? null : new RegExp(when.matches, "isu");
  const pieces = [when.contains ?? []].flat().map((piece) => piece.toLowerCase());
  return ({ text, account, door }) => {
    const shown = text.slice(0, LOOKED_AT_CHARS);
    if (when.accounts !== undefined && !when.accounts.includes(account)) return false;
    if (when.doors !== undefined && !when.doors.includes(door)) return false;
    if (when.min_chars !== undefined && text.length < when.min_chars) return false;
    if (when.max_chars !== undefined && text.length > when.max_chars) return false;
    if (pieces.length > 0) {
      const lower = shown.toLowerCase();
      if (!pieces.some((piece) => lower.includes(piece))) return false;
    }
    return pattern === null || pattern.test(shown);
  };
}

/** A rule: the same text for every prompt it applies to. */
export function ruleStep(rule: Rule): TriageStep {
  const applies = toCondition(rule.when);
  return {
    name: rule.name,
    decide: (prompt) => {
      if (!applies(prompt)) return Promise.resolve({ decision: { decision: "pass" } });
      const { answer, refuse, context } = rule;
      if (answer !== undefined) return Promise.resolve({ decision: { decision: "answer", text: answer } });
      if (refuse !== undefined) return Promise.resolve({ decision: { decision: "refuse", message: refuse } });
      return Promise.resolve({ decision: { decision: "context", text: context ?? "" } });
    },
  };
}
