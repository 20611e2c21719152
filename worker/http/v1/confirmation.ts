import type { SendEvents } from "@gantry/protocol/api/sessions.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { z } from "zod";
import type { WaitingCall } from "../../session/store/approvals.ts";

type Confirmation = Extract<z.infer<typeof SendEvents>["events"][number], { type: "user.tool_confirmation" }>;

/** A question as the engine's AskUserQuestion has it; the model wrote it, so nothing of it is sure. */
export function questionsOf(input: string): string[] {
  const { questions } = JSON.parse(input) as { questions?: unknown };
  if (!Array.isArray(questions)) return [];
  return questions.flatMap((each: unknown) => {
    const text = (each as { question?: unknown } | null)?.question;
    return typeof text === "string" ? [text] : [];
  });
}

/**
 * What a `user.tool_confirmation` says to the call that waits, and what the log says of it. Refuses what does not answer
 * it: a question that is allowed without an answer would go on with none.
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
    refuse("answers", "is for questions that are allowed");
  if (mode && (call.kind !== "plan" || result === "deny")) refuse("permission_mode", "is for plans that are allowed");
  if (result === "deny") {
    const answer = { type: "deny" as const, message: deny_message ?? "The user did not allow this." };
    return { answer, event: { type, tool_use_id, result, ...(deny_message ? { deny_message } : {}) } };
  }
  if (deny_message) refuse("deny_message", "is for denials");
  const input = answers ? { ...(JSON.parse(call.input) as object), ...updatedInput, answers } : updatedInput;
  if (call.kind === "question") {
    const given = (input as { answers?: Record<string, unknown> } | undefined)?.answers ?? {};
    const asked = questionsOf(call.input);
    const missing = asked.find((question) => typeof given[question] !== "string" || given[question] === "");
    if (missing !== undefined) refuse("answers", `says nothing to ${JSON.stringify(missing)}; answer it, or deny`);
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

/** Several choices are one text, as the engine has them. */
function toText(answers: NonNullable<Confirmation["answers"]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(answers).map(([question, answer]) => [
      question,
      typeof answer === "string" ? answer : answer.join(", "),
    ]),
  );
}
