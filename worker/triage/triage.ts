import type { ModelUsage } from "@gantry/protocol/run-end.ts";

/**
 * Triage: what happens to a prompt before a sandbox is started for it. A step looks at the prompt and says one of four
 * things; the steps of the configuration are asked in their order (docs/triage.md).
 */

/** The prompt of a run, as a step sees it. */
export interface TriagePrompt {
  /** Its texts, joined; images and documents are not looked at. */
  readonly text: string;
  readonly account: string;
  readonly sessionId: string;
  /** The door it came through: `claude-code`, `api`, `query`, ... */
  readonly door: string;
  /** What earlier steps have added. */
  readonly context: readonly string[];
}

/**
 * - `answer`: this is the answer, nobody else is asked;
 * - `refuse`: it is not carried out, and this is why;
 * - `context`: it goes on with this beside it;
 * - `pass`: it goes on as it is.
 */
export type Decision =
  | { readonly decision: "answer"; readonly text: string }
  | { readonly decision: "refuse"; readonly message: string }
  | { readonly decision: "context"; readonly text: string }
  | { readonly decision: "pass" };

/** What a model that was asked has used. */
export interface ModelCall {
  readonly model: string;
  readonly usage: ModelUsage;
}

export interface StepResult {
  readonly decision: Decision;
  /** The step could not do its work: then it has passed, and the log says so. */
  readonly problem?: string;
  readonly call?: ModelCall;
}

/** One step. May reject: then it counts as passed, with a problem. */
export interface TriageStep {
  readonly name: string;
  decide(prompt: TriagePrompt): Promise<StepResult>;
}

/** What all steps together say. */
export interface Verdict {
  readonly decision: Decision;
  /** Names of the steps that said it. */
  readonly by: readonly string[];
  readonly problems: readonly { readonly step: string; readonly message: string }[];
  readonly calls: readonly ModelCall[];
}

/** Asks the steps one after the other, up to the first that answers or refuses. Never rejects. */
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
