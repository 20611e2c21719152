import type { AnsweredCall, ToolAnswer } from "@gantry/protocol/link.ts";
import { PeerTool } from "@gantry/protocol/peers.ts";
import { after } from "../base/guarded.ts";
import type { ToolRequest } from "../engine/contract.ts";
import { clipInput } from "../engine/translate/clip.ts";
import { takeAnswer } from "../engine/resume.ts";
import type { TranslatedEvent } from "../engine/translate/state.ts";

/**
 * How long a withdrawn question stays open. A dying engine withdraws its questions a moment before its exit is known, and they
 * must survive that.
 */
const WITHDRAWN_MS = 250;

interface WaitsFor {
  /** Whether another engine could continue from this call. */
  readonly canBeParked: boolean;
  /** Whether another session executes the call, so that no user is asked. */
  readonly isForPeer: boolean;
}

/** Tool calls of the run in progress that wait for an answer, and the answers that are not used yet. */
export class Questions {
  /** Waiting calls by event id. */
  readonly #waiting = new Map<string, { resolve: (answer: ToolAnswer) => void } & WaitsFor>();
  /** Event ids of calls that were answered and have no result yet, so they may have begun. */
  readonly #begun = new Set<string>();
  /** Answers that came before this engine started. Each answers one call. */
  #answers: AnsweredCall[] = [];

  /** How many calls wait for a user or client. Calls that another session executes do not count. */
  get waiting(): number {
    return [...this.#waiting.values()].filter((call) => !call.isForPeer).length;
  }

  /** Whether another engine could continue from all waiting calls, and no answered call may have begun. */
  get canBeParked(): boolean {
    return (
      this.#waiting.size > 0 && this.#begun.size === 0 && [...this.#waiting.values()].every((call) => call.canBeParked)
    );
  }

  /** Adds answers that were given while the run had no engine. */
  resumeWith(answers: readonly AnsweredCall[]): void {
    this.#answers = [...answers];
  }

  /** Removes and returns the answer that is there already, or null. */
  take(question: { toolUseId: string; tool: string; input: Record<string, unknown> }): ToolAnswer | null {
    return takeAnswer(this.#answers, question);
  }

  /** Resolves when the call with this event id is answered, or a moment after the engine withdraws it. */
  async wait(id: string, waitsFor: WaitsFor, withdrawn: AbortSignal): Promise<ToolAnswer> {
    const answer = await new Promise<ToolAnswer>((resolve) => {
      this.#waiting.set(id, { resolve, ...waitsFor });
      const stopped = { type: "deny" as const, message: "The run was stopped." };
      withdrawn.addEventListener("abort", () => after("question", WITHDRAWN_MS, () => resolve(stopped)), {
        once: true,
      });
    });
    this.#waiting.delete(id);
    return answer;
  }

  /** Passes an answer on to its call, once. */
  answer(id: string, answer: ToolAnswer): void {
    const call = this.#waiting.get(id);
    // A permission may arrive again under the same id while the call itself already waits for its result.
    if (!call || (call.isForPeer && answer.type !== "result")) return;
    this.#waiting.delete(id);
    this.#begun.add(id);
    call.resolve(answer);
  }

  /** The call has a result. */
  over(id: string): void {
    this.#begun.delete(id);
    this.#answers = this.#answers.filter((call) => call.toolUseId !== id);
  }

  /** The run has ended. Denies all waiting calls. */
  end(): void {
    for (const { resolve } of this.#waiting.values()) resolve({ type: "deny", message: "The run has ended." });
    this.forget();
  }

  /** The engine is gone or about to be. Forgets all calls without an answer, because the engine would record it as one. */
  forget(): void {
    this.#waiting.clear();
    this.#begun.clear();
    this.#answers = [];
  }
}

/** The events that record a question. */
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
    // The user reads the primary thread, so a sub-agent's call is shown there too.
    ...(thread === undefined
      ? []
      : [{ type: "agent.tool_use" as const, id, name: tool, input, session_thread_id: thread }]),
    { type: "approval.requested", id: newEventId(), tool_use_id: id, tool, input, ...call },
  ];
}
