import { randomUUID } from "node:crypto";
import { appendFile, open, readFile } from "node:fs/promises";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { AnsweredCall, EngineStart, ToolAnswer } from "@gantry/protocol/link.ts";
import { clipInput, toResultContent } from "./translate/clip.ts";
import type { SessionFolders } from "./environment.ts";
import { isMain, parseEntry } from "./transcript.ts";
import { isServerTool } from "./translate.ts";
import { transcriptOf } from "../folders/session-folders.ts";

/**
 * Going on with a conversation whose engine ended while tool calls waited for somebody. The engine resumes from its
 * transcript, and what it finds at the end of that decides what it does: a call that is marked as deferred, as a
 * PreToolUse hook can have it, is run; a call with a result is over; any other is forgotten, and the model is told to
 * go on without.
 */

/** What a resumed engine is to know. */
export interface Resumption {
  /** The call that the engine takes up itself, before it asks the model. */
  readonly runs: AnsweredCall | null;
  /** The results of all other calls, as the log is to tell them: the engine will not. */
  readonly results: readonly Extract<RunnerEvent, { type: "agent.tool_result" | "agent.mcp_tool_result" }>[];
  /** Answers that the engine, or a model that makes a call again, may still ask for; each is good for one call. */
  readonly answers: readonly AnsweredCall[];
}

/** What a model is told of an allowed call that the engine cannot take up itself. */
const AGAIN = "This was allowed, but the sandbox was restarted before it ran. If it is still needed, call it again.";

/**
 * Writes what was answered to the end of the transcript. Nothing that was asked about has run. Throws when there is no
 * conversation to go on with.
 */
export async function prepareResume(
  folders: SessionFolders,
  engineSessionId: string,
  calls: readonly AnsweredCall[],
): Promise<Resumption> {
  const file = transcriptOf(folders, engineSessionId);
  if (file === null) throw new Error("The conversation that waited for an answer is not in this sandbox.");
  const text = await readFile(file, "utf8");
  if (!calls.every(({ call }) => holds(text, call)))
    throw new Error("The conversation did not come back with what was asked in it.");
  const found = calls.filter(({ call }) => isOpen(text, call));
  // It takes up one call, and a server's tool may not be there yet when it does.
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

/** What a model is told of a call that was under way when its engine ended. */
const CUT_OFF = "This was cut off while it was under way. How far it came is not known.";

/**
 * Gives a result to every call that an earlier engine was to take up and did not finish. Its run has ended; the next
 * engine would run it again, and take what comes of it for the answer to another prompt. Resolves to nothing to go on with.
 */
export async function closeDeferred(folders: SessionFolders, engineSessionId: string): Promise<null> {
  const file = transcriptOf(folders, engineSessionId);
  const text = file === null ? "" : await readFile(file, "utf8");
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

/** How long the engine may take to write a call down, and how much of the end of the transcript is searched for it. */
const WRITE_MS = 2_000;
const TAIL_BYTES = 4_000_000;

/**
 * Resolves when the transcript holds a call, so that whoever answers it later finds it there: the engine asks before it
 * writes. False when it does not come: the call is a sub-agent's.
 */
export async function isWrittenDown(
  folders: SessionFolders,
  { engineSessionId }: EngineStart,
  call: string,
): Promise<boolean> {
  for (const until = Date.now() + WRITE_MS; Date.now() < until; await new Promise((r) => setTimeout(r, 10))) {
    const file = transcriptOf(folders, engineSessionId);
    if (file !== null && isOpen(await tailOf(file).catch(() => ""), call)) return true;
  }
  return false;
}

async function tailOf(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, TAIL_BYTES);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString("utf8");
  } finally {
    await handle.close();
  }
}

/** Takes the answer that belongs to a question of a resumed engine, once: by the call's id, else by what it does. */
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

/** The call that an entry of the transcript defers. */
function deferredIn(line: string): string | null {
  const attachment = line.includes(DEFERRED) ? parseEntry(line)["attachment"] : null;
  const { type, toolUseID } = (attachment ?? {}) as Record<string, unknown>;
  return type === DEFERRED && typeof toolUseID === "string" ? toolUseID : null;
}

/** Writes entries to the end of the main conversation, each after the other. */
async function append(file: string, text: string, entries: readonly object[]): Promise<void> {
  if (entries.length === 0) return;
  const { last, header } = endOf(text);
  let parent = last;
  const lines = entries.map((entry) => {
    const uuid = randomUUID();
    const line = JSON.stringify({ ...header, parentUuid: parent, uuid, ...entry });
    parent = uuid;
    return `${line}\n`;
  });
  // A killed engine may have left half a line.
  const start = text.endsWith("\n") ? "" : "\n";
  await appendFile(file, start + lines.join(""));
}

const holds = (text: string, call: string): boolean => text.includes(`"id":${JSON.stringify(call)}`);

/** Whether the transcript holds the call and no result of it. */
function isOpen(text: string, call: string): boolean {
  return holds(text, call) && !text.includes(`"tool_use_id":${JSON.stringify(call)}`);
}

/** The last entry of the main conversation, and what each entry repeats of it. */
function endOf(text: string): { last: string | null; header: Record<string, unknown> } {
  const entries = text.split("\n").map(parseEntry);
  const last: Record<string, unknown> = entries.findLast(isMain) ?? {};
  const { sessionId, cwd, version, userType, entrypoint, gitBranch } = last;
  const header = { isSidechain: false, timestamp: new Date().toISOString() };
  return {
    last: typeof last["uuid"] === "string" ? last["uuid"] : null,
    header: { ...header, sessionId, cwd, version, userType, entrypoint, gitBranch },
  };
}
