import type { StoredEvent } from "@gantry/protocol/event.ts";

/** A message of the demo WebSocket. `seq` is an addition of ours: a reconnect with `?after=SEQ` misses and repeats nothing. */
export interface SocketMessage {
  readonly type: "result" | "tool_use" | "file_change" | "error" | "status";
  readonly content: string;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly seq?: number;
  readonly data?: Record<string, unknown>;
}

/** Tools that change a file, and the input field that names the file. */
const FILE_TOOLS: Record<string, string> = { Write: "file_path", Edit: "file_path", NotebookEdit: "notebook_path" };

/** The demo messages of an event: whole texts, no previews. Most events have none. */
export function toSocketMessages(event: StoredEvent): SocketMessage[] {
  const message = (type: SocketMessage["type"], content: string, data?: Record<string, unknown>): SocketMessage => ({
    type,
    content,
    timestamp: Date.parse(event.processed_at),
    seq: event.seq,
    ...(data ? { data } : {}),
  });
  switch (event.type) {
    case "run.queued":
      return [
        message("status", event.position === 0 ? "queued" : `queued behind ${event.position}`, {
          run_id: event.run_id,
        }),
      ];
    case "run.started":
      return [message("status", "running", { run_id: event.run_id, model: event.model })];
    case "agent.message":
      return event.parent_tool_use_id === undefined
        ? [message("result", event.content.map((block) => block.text).join(""))]
        : [];
    case "agent.tool_use": {
      const file = FILE_TOOLS[event.name];
      const path = file === undefined ? undefined : event.input[file];
      const used = message(
        "tool_use",
        `${event.name}: ${typeof path === "string" ? path : JSON.stringify(event.input)}`,
        { id: event.id, tool: event.name, input: event.input },
      );
      return typeof path === "string"
        ? [used, message("file_change", `${event.name === "Write" ? "Written" : "Modified"}: ${path}`)]
        : [used];
    }
    case "permission.denied":
      return [message("error", `${event.tool} was not allowed: ${event.message}`)];
    case "session.error":
      return event.error.retry_status.type === "retrying" ? [message("status", event.error.message)] : [];
    case "run.ended":
      return event.outcome === "succeeded"
        ? [message("status", "idle", { run_id: event.run_id, outcome: event.outcome, result: event.result })]
        : [
            message("error", event.error?.message ?? `The run was ${event.outcome}.`, {
              run_id: event.run_id,
              outcome: event.outcome,
              error: event.error?.type ?? event.outcome,
            }),
          ];
    default:
      return [];
  }
}
