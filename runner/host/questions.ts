import type { AnsweredCall, ToolAnswer } from "@gantry/protocol/link.ts";
import { PeerTool } from "@gantry/protocol/peers.ts";
import type { ToolRequest } from "../engine/agent.ts";
import { clipInput } from "../engine/translate/clip.ts";
import { takeAnswer } from "../engine/resume.ts";
import type { TranslatedEvent } from "../engine/translate.ts";

/** An engine that dies withdraws what it asked a moment before it is known to be gone: the question outlives that. */
const WITHDRAWN_MS = 250;

interface WaitsFor {
  /** Another engine could find the call again. */
  readonly canBeParked: boolean;
  /** Another session is to do it, and nobody is asked. */
  readonly isForPeer: boolean;
}

/** Tool calls of the run in progress that wait for somebody, and what was answered. */
export class Questions {
  /** By event id: who waits, and for whom. */
  readonly #waiting = new Map<string, { resolve: (answer: ToolAnswer) => void } & WaitsFor>();
  /** Calls that were answered and have no result yet: they may have begun. */
  readonly #begun = new Set<string>();
  /** Answers that came before this engine; each is good for one call. */
  #answers: AnsweredCall[] = [];

  /** How many calls wait for somebody; what another session does is no waiting. */
  get waiting(): number {
    return [...this.#waiting.values()].filter((call) => !call.isForPeer).length;
  }

  /** Whether everything that waits could go on with another engine: nothing that was answered may have begun. */
  get canBeParked(): boolean {
    return (
      this.#waiting.size > 0 && this.#begun.size === 0 && [...this.#waiting.values()].every((call) => call.canBeParked)
    );
  }

  /** The run goes on with answers that were given while it had no engine. */
  resumeWith(answers: readonly AnsweredCall[]): void {
    this.#answers = [...answers];
  }

  /** The answer that is there already, or null. It is used up. */
  take(question: { toolUseId: string; tool: string; input: Record<string, unknown> }): ToolAnswer | null {
    return takeAnswer(this.#answers, question);
  }

  /** Resolves when somebody answers the call of this event id, or the engine withdraws it. */
  async wait(id: string, waitsFor: WaitsFor, withdrawn: AbortSignal): Promise<ToolAnswer> {
    const answer = await new Promise<ToolAnswer>((resolve) => {
      this.#waiting.set(id, { resolve, ...waitsFor });
      const stopped = { type: "deny" as const, message: "The run was stopped." };
      withdrawn.addEventListener("abort", () => setTimeout(() => resolve(stopped), WITHDRAWN_MS), { once: true });
    });
    this.#waiting.delete(id);
    return answer;
  }

  /** Takes an answer, once. */
  answer(id: string, answer: ToolAnswer): void {
    const call = this.#waiting.get(id);
    // The permission for a call is told again under the same id when the call itself already waits for its result.
    if (!call || (call.isForPeer && answer.type !== "result")) return;
    this.#waiting.delete(id);
    this.#begun.add(id);
    call.resolve(answer);
  }

  /** A call is over. */
  over(id: string): void {
    this.#begun.delete(id);
    this.#answers = this.#answers.filter((call) => call.toolUseId !== id);
  }

  /** The run has ended: whoever waits is told so. */
  end(): void {
    for (const { resolve } of this.#waiting.values()) resolve({ type: "deny", message: "The run has ended." });
    this.forget();
  }

  /** The engine is gone, or about to be: nobody is told anything, because it would write that down as the answer. */
  forget(): void {
    this.#waiting.clear();
    this.#begun.clear();
    this.#answers = [];
  }
}

/** A question as the log tells it. */
export function toEvents(
  { kind, tool, toolUseId, ...request }: ToolRequest,
  id: string,
  { canBeParked, thread }: { readonly canBeParked: boolean; readonly thread: string | undefined },
  newEventId: () => string,
): (TranslatedEvent & { readonly call?: string })[] {
  const call = canBeParked ? { call: toolUseId } : {};
  const input = clipInput(request.input);
  if (kind === "client") return [{ type: "agent.custom_tool_use", id, name: tool, input, ...call }];
  if (kind === "worker") {
    const evaluated_permission = request.permission ?? "ask";
    return [{ type: "agent.tool_use", id, name: tool, input, evaluated_permission, ...call }];
  }
  if (kind === "peer")
    return [{ type: "peer.requested", id: newEventId(), tool_use_id: id, tool: PeerTool.parse(tool), input }];
  return [
    // Who answers reads the primary thread.
    ...(thread === undefined
      ? []
      : [{ type: "agent.tool_use" as const, id, name: tool, input, session_thread_id: thread }]),
    { type: "approval.requested", id: newEventId(), tool_use_id: id, tool, input, ...call },
  ];
}
