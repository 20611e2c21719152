import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { AnsweredCall, ToolAnswer } from "@gantry/protocol/link.ts";

/** What an engine and the host that runs it say to each other. */

/** A question about a tool call: whether it may run, or what its result is. */
export interface ToolRequest {
  /** `permission`: may it run? `client`, `peer`, `worker`: who is to execute it. */
  readonly kind: "permission" | "client" | "peer" | "worker";
  /** The model's id of the call. */
  readonly toolUseId: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
  /** With `worker`: whether the user must allow the call first. */
  readonly permission?: "allow" | "ask";
  /** The engine's id of the sub-agent that makes the call; undefined for the main agent. */
  readonly agentId?: string | undefined;
}

/** What a run needs of its engine besides its profile. */
export interface EngineWants {
  /** The model gets a context besides the prompt. */
  readonly hasContext?: boolean;
  /** Called with the position in the queue for a start, when the engine cannot start at once. */
  readonly onWait?: (position: number) => void;
  /** Calls that waited for an answer and now have one; the run continues from them. */
  readonly resume?: readonly AnsweredCall[];
}

/** Receives what an engine reports. */
export interface EngineHandlers {
  /** Called with each message of the engine, in order. */
  readonly onMessage: (message: SDKMessage) => void;
  /** Called when a tool waits for a permission or for a result. The signal aborts when the engine withdraws the question. */
  readonly onToolRequest: (request: ToolRequest, signal: AbortSignal) => Promise<ToolAnswer>;
  /** Called once, when the engine has exited for any reason; `reason` is a text for the log. */
  readonly onExit: (reason: string) => void;
}
