import { randomUUID } from "node:crypto";
import { appendFile } from "node:fs/promises";
import { readTail } from "../folders/read-bounded.ts";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { AnsweredCall, EngineStart, ToolAnswer } from "@gantry/protocol/link.ts";
import { clipInput, toResultContent } from "./translate/clip.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import { isMain, parseEntry, readTranscript } from "./transcript.ts";
import { isServerTool } from "./translate/tool-names.ts";
import { transcriptOf } from "../folders/session-folders.ts";

/**
 * Continues a conversation whose engine ended while tool calls waited for answers. The engine resumes from its transcript,
 * and the end of the transcript decides what it does: it runs a call that is marked as deferred (as a PreToolUse hook can
 * do), it treats a call with a result as finished, and it drops any other call and tells the model to continue without it.
 */

/** How a resumed engine continues. */
export interface Resumption {
  /** The call that the engine runs itself before it asks the model. */
  readonly runs: AnsweredCall | null;
  /** Result events of all other calls; the engine will not report them. */
  readonly results: readonly Extract<RunnerEvent, { type: "agent.tool_result" | "agent.mcp_tool_result" }>[];
  /** Answers that the engine may still ask for, also when the model repeats a call. Each answers one call. */
  readonly answers: readonly AnsweredCall[];
}

/** Tells the model about an allowed call that the engine cannot run itself. */
const AGAIN = "This was allowed, but the sandbox was restarted before it ran. If it is still needed, call it again.";

/**
 * Appends the answers to the transcript. None of the calls has run yet. Throws when the conversation, or a call in it, is
 * missing.
 */
export async function prepareResume(
  folders: SessionFolders,
  engineSessionId: string,
  calls: readonly AnsweredCall[],
): Promise<Resumption> {
  const file = transcriptOf(folders, engineSessionId);
  if (file === null) throw new Error("The conversation that waited for an answer is not in this sandbox.");
  const { text } = await readTranscript(file);
  if (!calls.every(({ call }) => holds(text, call)))
    throw new Error("The conversation in this sandbox does not contain the call that was answered.");
  const found = calls.filter(({ call }) => isOpen(text, call));
  // The engine runs only one deferred call, and tools of MCP servers may not be ready when it does.
  const runs = found.findLast(({ answer, tool }) => answer.type === "allow" && !isServerTool(tool)) ?? null;
  const results = found.filter((each) => each !== runs).map(({ call, answer }) => resultEntry(call, resultOf(answer)));
  await append(file, text, runs ? [...results, deferredEntry(runs)] : results);
  return {
    runs,
    results: calls
      .filter((call) => call !== runs)
      .map(({ toolUseId, tool, answer }) => {
        const { content, is_error } = resultOf(answer);
        return isServerTool(tool)
          ? { type: "agent.mcp_tool_result", mcp_tool_use_id: toolUseId, content: toResultContent(content), is_error }
          : { type: "agent.tool_result", tool_use_id: toolUseId, content: toResultContent(content), is_error };
      }),
    answers: calls.filter((call) => call.answer.type === "allow" || !found.includes(call)),
  };
}

/** Tells the model about a call that was running when its engine ended. */
const CUT_OFF = "This was interrupted while it was running. It may have completed in part.";

/**
 * Writes a result for every deferred call that an earlier engine did not finish. The run of such a call has ended, so the
 * next engine must not run it again and take its result for the answer to another prompt. Resolves to null, because there is
 * nothing to continue.
 */
export async function closeDeferred(folders: SessionFolders, engineSessionId: string): Promise<null> {
  const file = transcriptOf(folders, engineSessionId);
  const text = file === null ? "" : (await readTranscript(file)).text;
  if (file === null || !text.includes(DEFERRED)) return null;
  const deferred = text.split("\n").flatMap((line) => deferredIn(line) ?? []);
  const open = [...new Set(deferred)].filter((call) => isOpen(text, call));
  await append(
    file,
    text,
    open.map((call) => resultEntry(call, errorOf(CUT_OFF))),
  );
  return null;
}

/** How long to wait for the engine to write a call, and how much of the transcript's end is searched for it. */
const WRITE_MS = 2_000;
const TAIL_BYTES = 4_000_000;

/**
 * Resolves to true when the transcript contains the call, so that another engine can continue from it. The engine asks before
 * it writes, hence the wait. Resolves to false when the call does not appear, because a sub-agent made it.
 */
export async function isInTranscript(
  folders: SessionFolders,
  { engineSessionId }: EngineStart,
  call: string,
): Promise<boolean> {
  for (const until = Date.now() + WRITE_MS; Date.now() < until; await new Promise((r) => setTimeout(r, 10))) {
    const file = transcriptOf(folders, engineSessionId);
    if (file !== null && isOpen(await tailOf(file), call)) return true;
  }
  return false;
}

async function tailOf(file: string): Promise<string> {
  const tail = await readTail(file, TAIL_BYTES, Infinity).catch(() => null);
  return tail?.text ?? "";
}

/**
 * Removes and returns the answer to a question of a resumed engine, or null: found by the call's id, otherwise by the same
 * tool and input.
 */
export function takeAnswer(
  answers: AnsweredCall[],
  question: { toolUseId: string; tool: string; input: Record<string, unknown> },
): ToolAnswer | null {
  const input = JSON.stringify(clipInput(question.input));
  const at = answers.findIndex(
    ({ call, tool, input: given }) =>
      call === question.toolUseId || (tool === question.tool && JSON.stringify(given) === input),
  );
  return at < 0 ? null : (answers.splice(at, 1)[0]?.answer ?? null);
}

interface ToolResult {
  readonly content: readonly object[];
  readonly is_error: boolean;
}

const errorOf = (text: string): ToolResult => ({ content: [{ type: "text", text }], is_error: true });

function resultOf(answer: ToolAnswer): ToolResult {
  switch (answer.type) {
    case "allow":
      return errorOf(AGAIN);
    case "deny":
      return errorOf(answer.message);
    case "result":
      return { content: answer.content, is_error: answer.isError };
    default:
      return answer satisfies never;
  }
}

function resultEntry(call: string, result: ToolResult): object {
  return { type: "user", message: { role: "user", content: [{ type: "tool_result", tool_use_id: call, ...result }] } };
}

const DEFERRED = "hook_deferred_tool";

function deferredEntry({ call, tool, input }: AnsweredCall): object {
  const attachment = {
    type: DEFERRED,
    toolUseID: call,
    toolName: tool,
    toolInput: input,
    hookName: "approval",
    hookEvent: "PreToolUse",
    permissionMode: "default",
  };
  return { type: "attachment", attachment };
}

/** The id of the call that a line of the transcript defers, or null. */
function deferredIn(line: string): string | null {
  const attachment = line.includes(DEFERRED) ? parseEntry(line)["attachment"] : null;
  const { type, toolUseID } = (attachment ?? {}) as Record<string, unknown>;
  return type === DEFERRED && typeof toolUseID === "string" ? toolUseID : null;
}

/** Appends entries to the main conversation, each following the one before. */
async function append(file: string, text: string, entries: readonly object[]): Promise<void> {
  if (entries.length === 0) return;
  const { last, header } = lastEntryOf(text);
  let parent = last;
  const lines = entries.map((entry) => {
    const uuid = randomUUID();
    const line = JSON.stringify({ ...header, parentUuid: parent, uuid, ...entry });
    parent = uuid;
    return `${line}\n`;
  });
  // A killed engine may have left an incomplete line.
  const start = text.endsWith("\n") ? "" : "\n";
  await appendFile(file, start + lines.join(""));
}

const holds = (text: string, call: string): boolean => text.includes(`"id":${JSON.stringify(call)}`);

/** Whether the transcript contains the call but no result of it. */
function isOpen(text: string, call: string): boolean {
  return holds(text, call) && !text.includes(`"tool_use_id":${JSON.stringify(call)}`);
}

/** The id of the last entry of the main conversation, and the fields that every entry repeats. */
function lastEntryOf(text: string): { last: string | null; header: Record<string, unknown> } {
  const entries = text.split("\n").map(parseEntry);
  const last: Record<string, unknown> = entries.findLast(isMain) ?? {};
  const { sessionId, cwd, version, userType, entrypoint, gitBranch } = last;
  const header = { isSidechain: false, timestamp: new Date().toISOString() };
  return {
    last: typeof last["uuid"] === "string" ? last["uuid"] : null,
    header: { ...header, sessionId, cwd, version, userType, entrypoint, gitBranch },
  };
}
