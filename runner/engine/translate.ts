import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { fromAssistant, fromUser } from "./translate/messages.ts";
import { fromResult } from "./translate/result.ts";
import type { Translation, TranslateState } from "./translate/state.ts";
import { fromStream } from "./translate/stream.ts";
import { fromSystem } from "./translate/system.ts";

/**
 * Translates a message of the Agent SDK into events, as a pure function over a small state. It never throws: the engine
 * sends message types that no declaration file has, and an unknown one must not end a run.
 *
 * @param newId makes a fresh event id. It is an argument so that tests can count.
 */
export function translate(state: TranslateState, message: SDKMessage, newId: () => string): Translation {
  switch (message.type) {
    case "stream_event":
      return fromStream(state, message, newId);
    case "assistant":
      return fromAssistant(state, message, newId);
    case "user":
      return fromUser(state, message, newId);
    case "system":
      return fromSystem(state, message, newId);
    case "result":
      return fromResult(state, message, newId);
    default:
      return { state, events: [] };
  }
}
