import { clip } from "./clip.ts";
import { closeSpan, errorTypeOf } from "./model-request.ts";
import type { MessageOf, Translation, TranslateState } from "./state.ts";
import { onTaskEnded, onTaskStarted } from "./threads.ts";

/** Reports of the engine about itself: denied tools, retries, compaction, sub-agents and background tasks. */
export function fromSystem(state: TranslateState, message: MessageOf<"system">, newId: () => string): Translation {
  switch (message.subtype) {
    case "permission_denied": {
      const toolUseId = state.toolCalls[message.tool_use_id] ?? null;
      return {
        state,
        events: [
          {
            type: "permission.denied",
            id: newId(),
            tool_use_id: toolUseId,
            tool: message.tool_name,
            message: clip(message.message),
          },
        ],
      };
    }
    case "api_retry": {
      const closed = closeSpan(state, newId, true);
      const error = {
        type: errorTypeOf(message.error_status),
        message: `The model's API failed (${message.error_status ?? "no answer"}); try ${message.attempt} of ${message.max_retries} in ${Math.round(message.retry_delay_ms)} ms.`,
        retry_status: { type: "retrying" as const },
        upstream_status: message.error_status,
      };
      return { state: closed.state, events: [...closed.events, { type: "session.error", id: newId(), error }] };
    }
    case "compact_boundary":
      return { state, events: [{ type: "agent.thread_context_compacted", id: newId() }] };
    case "task_started": {
      const call = message.tool_use_id === undefined ? null : (state.toolCalls[message.tool_use_id] ?? null);
      const { threads, events } = onTaskStarted(state.threads, message, call, newId);
      return { state: { ...state, threads }, events };
    }
    case "task_notification": {
      const { threads, events } = onTaskEnded(state.threads, message, newId);
      return { state: { ...state, threads }, events };
    }
    case "background_tasks_changed":
      return { state: { ...state, backgroundTasks: message.tasks.map((task) => task.task_id) }, events: [] };
    default:
      return { state, events: [] };
  }
}
