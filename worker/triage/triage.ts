import type { ModelUsage } from "@gantry/protocol/run-end.ts";

/**
 * Triage decides what happens to a prompt before a sandbox starts for it. Each configured step looks at the prompt and
 * returns one of four decisions; the steps are asked in order (docs/triage.md).
 */

/** The prompt of a run, as a step sees it. */
export interface TriagePrompt {
  /** Its text blocks, joined. Images and documents are ignored. */
  readonly text: string;
  readonly account: string;
  readonly sessionId: string;
  /** The door it came through: `claude-code`, `api`, `query`, ... */
  readonly door: string;
  /** Texts that earlier steps added. */
  readonly context: readonly string[];
}

/**
 * What a step decides:
 * - `answer`: `text` is the answer, and no further step or agent is asked;
 * - `refuse`: the prompt is not carried out, and `message` says why;
 * - `context`: the prompt goes on to the agent together with `text`;
 * - `pass`: the prompt goes on unchanged.
 */
export type Decision =
  | { readonly decision: "answer"; readonly text: string }
  | { readonly decision: "refuse"; readonly message: string }
  | { readonly decision: "context"; readonly text: string }
  | { readonly decision: "pass" };

/** Tokens that a model call has used. */
export interface ModelCall {
  readonly model: string;
  readonly usage: ModelUsage;
}

/** A step's decision, and what it cost. */
export interface StepResult {
  readonly decision: Decision;
  /** Why the step failed. A step that fails passes, and the log has this text. */
  readonly problem?: string;
  readonly call?: ModelCall;
}

/** One step. When `decide` rejects, the step passes with a problem. */
export interface TriageStep {
  readonly name: string;
  decide(prompt: TriagePrompt): Promise<StepResult>;
}

/** The decision of all steps together. */
export interface Verdict {
  readonly decision: Decision;
  /** Names of the steps that made it. */
  readonly by: readonly string[];
  readonly problems: readonly { readonly step: string; readonly message: string }[];
  readonly calls: readonly ModelCall[];
}

/** Asks the steps in order, up to the first that answers or refuses. Never rejects. */
export async function triage(steps: readonly TriageStep[], prompt: Omit<TriagePrompt, "context">): Promise<Verdict> {
  const context: string[] = [];
  const by: string[] = [];
  const problems: { step: string; message: string }[] = [];
  const calls: ModelCall[] = [];
  for (const step of steps) {
    const { decision, problem, call } = await step
      .decide({ ...prompt, context })
      .catch((error: unknown): StepResult => ({
        decision: { decision: "pass" },
        problem: error instanceof Error ? error.message : String(error),
      }));
    if (problem !== undefined) problems.push({ step: step.name, message: problem });
    if (call !== undefined) calls.push(call);
    if (decision.decision === "answer" || decision.decision === "refuse")
      return { decision, by: [step.name], problems, calls };
    if (decision.decision === "context") {
      context.push(decision.text);
      by.push(step.name);
    }
  }
  const decision: Decision =
    context.length > 0 ? { decision: "context", text: context.join("\n\n") } : { decision: "pass" };
  return { decision, by, problems, calls };
}
