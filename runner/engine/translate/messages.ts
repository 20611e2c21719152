import { clip, clipInput, toResultContent } from "./clip.ts";
import { nameToolCall } from "./state.ts";
import type { MessageOf, TranslatedEvent, Translation, TranslateState } from "./state.ts";
import { threadOf } from "./threads.ts";
import { MCP_TOOL, isAnsweredElsewhere } from "./tool-names.ts";

/** A finished message of a model: texts, thoughts and tool calls. */
export function fromAssistant(
  state: TranslateState,
  message: MessageOf<"assistant">,
  newId: () => string,
): Translation {
  // With `error`, the engine reports a failed request in its own words. The result repeats it, with the status.
  if (message.error) return { state, events: [] };
  let next = state;
  const events: TranslatedEvent[] = [];
  const parent = message.parent_tool_use_id === null ? undefined : state.toolCalls[message.parent_tool_use_id];
  const thread = threadOf(state.threads, message);
  const on = thread === undefined ? {} : { thread };
  const under = { ...on, ...(parent === undefined ? {} : { parent_tool_use_id: parent }) };
  const isInner = parent !== undefined || thread !== undefined;
  const claimPreview = (type: "agent.message" | "agent.thinking"): string => {
    const found = !isInner ? next.previews.find((p) => p.type === type) : undefined;
    if (!found) return newId();
    next = { ...next, previews: next.previews.filter((p) => p !== found) };
    return found.id;
  };
  for (const block of message.message.content) {
    if (block.type === "text") {
      if (block.text === "") continue;
      events.push({
        type: "agent.message",
        id: claimPreview("agent.message"),
        content: [{ type: "text", text: clip(block.text) }],
        ...under,
      });
      if (!isInner) next = { ...next, lastText: block.text };
    } else if (block.type === "thinking") {
      const thinking = clip(block.thinking);
      events.push({ type: "agent.thinking", id: claimPreview("agent.thinking"), thinking, ...on });
    } else if (block.type === "tool_use") {
      const named = nameToolCall(next, block.id, newId);
      next = named.state;
      if (thread !== undefined)
        next = {
          ...next,
          threads: { ...next.threads, callers: { ...next.threads.callers, [block.id]: thread } },
        };
      const { id } = named;
      // Its event is recorded when the engine calls it, because only then does it wait for an answer.
      if (isAnsweredElsewhere(block.name)) continue;
      const mcp = MCP_TOOL.exec(block.name);
      if (mcp?.[1] !== undefined && mcp[2] !== undefined) {
        next = { ...next, mcpCalls: [...next.mcpCalls, id] };
        events.push({
          type: "agent.mcp_tool_use",
          id,
          mcp_server_name: mcp[1],
          name: mcp[2],
          input: clipInput(block.input),
          ...on,
        });
        continue;
      }
      events.push({ type: "agent.tool_use", id, name: block.name, input: clipInput(block.input), ...under });
    }
  }
  return { state: next, events };
}

/** Results of tool calls. */
export function fromUser(state: TranslateState, message: MessageOf<"user">, newId: () => string): Translation {
  const content = message.message.content;
  if (typeof content === "string") return { state, events: [] };
  const events: TranslatedEvent[] = [];
  const thread = threadOf(state.threads, message);
  const on = thread === undefined ? {} : { thread };
  for (const block of content) {
    if (block.type !== "tool_result") continue;
    const toolUseId = state.toolCalls[block.tool_use_id];
    if (toolUseId === undefined) continue;
    const results = toResultContent(block.content);
    const isError = block.is_error === true;
    if (state.mcpCalls.includes(toolUseId)) {
      events.push({
        type: "agent.mcp_tool_result",
        id: newId(),
        mcp_tool_use_id: toolUseId,
        content: results,
        is_error: isError,
        ...on,
      });
    } else {
      events.push({
        type: "agent.tool_result",
        id: newId(),
        tool_use_id: toolUseId,
        content: results,
        is_error: isError,
        ...on,
      });
    }
  }
  return { state, events };
}
