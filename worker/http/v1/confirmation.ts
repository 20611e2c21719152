import type { SendEvents } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { z } from "zod";
import type { WaitingCall } from "../../session/store/approvals.ts";

type Confirmation = Extract<z.infer<typeof SendEvents>["events"][number], { type: "user.tool_confirmation" }>;

/** The questions in an input of the engine's AskUserQuestion. The model wrote the input, so its shape is not guaranteed. */
export function questionsOf(input: string): string[] {
  const { questions } = JSON.parse(input) as { questions?: unknown };
  if (!Array.isArray(questions)) return [];
  return questions.flatMap((each: unknown) => {
    const text = (each as { question?: unknown } | null)?.question;
    return typeof text === "string" ? [text] : [];
  });
}

/**
 * Translates a `user.tool_confirmation` into the answer for the waiting call and the event for the log. Throws
 * `invalid_request` when it does not fit the call. A question that is allowed must have all its answers, because the
 * engine would go on without them.
 */
export function toAnswer(
  confirmation: Confirmation,
  call: Omit<WaitingCall, "answer">,
  field: string,
): { answer: ToolAnswer; event: SessionEvent } {
  const { type, tool_use_id, result, deny_message, updated_input: updatedInput } = confirmation;
  const answers = confirmation.answers && toText(confirmation.answers);
  const mode = confirmation.permission_mode;
  const refuse = (name: string, reason: string): never => {
    throw new RequestRefused({ code: "invalid_request", field: `${field}.${name}`, reason });
  };
  if (answers && (call.kind !== "question" || result === "deny"))
    refuse("answers", "applies only to a question that is allowed");
  if (mode && (call.kind !== "plan" || result === "deny"))
    refuse("permission_mode", "applies only to a plan that is allowed");
  if (result === "deny") {
    const answer = { type: "deny" as const, message: deny_message ?? "The user did not allow this." };
    return { answer, event: { type, tool_use_id, result, ...(deny_message ? { deny_message } : {}) } };
  }
  if (deny_message) refuse("deny_message", "applies only to a denial");
  const input = answers ? { ...(JSON.parse(call.input) as object), ...updatedInput, answers } : updatedInput;
  if (call.kind === "question") {
    const given = (input as { answers?: Record<string, unknown> } | undefined)?.answers ?? {};
    const asked = questionsOf(call.input);
    const missing = asked.find((question) => typeof given[question] !== "string" || given[question] === "");
    if (missing !== undefined)
      refuse("answers", `has no answer to ${JSON.stringify(missing)}; answer it or deny the call`);
    const other = Object.keys(given).find((question) => !asked.includes(question));
    if (other !== undefined) refuse("answers", `${JSON.stringify(other)} was not asked`);
  }
  const answer: ToolAnswer = {
    type: "allow",
    ...(input === undefined ? {} : { updatedInput: input }),
    ...(mode === undefined ? {} : { permissionMode: mode }),
  };
  const told = { ...(answers ? { answers } : {}), ...(mode ? { permission_mode: mode } : {}) };
  return { answer, event: { type, tool_use_id, result, ...told } };
}

/** Joins several choices into one text, which is the engine's format. */
function toText(answers: NonNullable<Confirmation["answers"]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(answers).map(([question, answer]) => [
      question,
      typeof answer === "string" ? answer : answer.join(", "),
    ]),
  );
}
