/** The prompts for both sides, and the times noted for each answer. */

/** Milliseconds from the prompt. */
export interface Timing {
  /** The first piece of the answer's text. */
  readonly firstMs: number;
  readonly resultMs: number;
}

export const MODEL = "anthropic/claude-sonnet-5";
export const MAX_TURNS = 3;
export const PERMISSION_MODE = "acceptEdits";
export const PROMPT = "How far are the tests?";
