import { RunErrorType } from "./run-end.ts";
import type { RunEnded } from "./run-end.ts";
import type { SessionEvent, StoredEvent } from "./event.ts";
import { describe, expect, it } from "vitest";
import { StoryLines, runErrorStatus } from "./story-lines.ts";
import type { StoryLine } from "./story-lines.ts";

const IDS = { sessionId: "sesn_1", runId: "run_1", requestId: "req_1" };
type Given = SessionEvent & { id?: string };

/** The lines for some events. Events without an id get `e1`, `e2`, ... */
function lines(events: readonly Given[], verbose = false): StoryLine[] {
  const story = new StoryLines({ ...IDS, verbose });
  return events.flatMap((event, at) => {
    const header = { seq: at + 1, run_id: "run_1", processed_at: "2026-11-21T00:00:00.000Z" };
    return story.of({ id: `e${at + 1}`, ...event, ...header } as StoredEvent);
  });
}

const delta = (id: string, text: string): Given => ({
  type: "event_delta",
  event_id: id,
  delta: { type: "content_delta", index: 0, content: { type: "text", text } },
});
const said = (id: string, text: string, fields: object = {}): Given => ({
  type: "agent.message",
  id,
  content: [{ type: "text", text }],
  ...fields,
});
const ended = (fields: Partial<RunEnded> = {}): Given => ({
  type: "run.ended",
  outcome: "succeeded",
  result: "42",
  error: null,
  usage: null,
  num_turns: 2,
  duration_ms: 7,
  ...fields,
});
const failed = (error: RunEnded["error"], fields: Partial<RunEnded> = {}): Given =>
  ended({ outcome: "failed", result: "", error, ...fields });
const piece = (content: string, messageId: string): StoryLine => ({ type: "assistant", content, messageId });
const END = { ...IDS, numTurns: 2, durationMs: 7, usage: null };

describe("events to lines", () => {
  it.each<[string, Given[], StoryLine[]]>([
    [
      "a run that waits",
      [{ type: "run.queued", position: 3, trigger: "api" }],
      [{ type: "status", status: "queued", position: 3, ...IDS }],
    ],
    [
      "a run that begins",
      [{ type: "run.started", model: "demo/claude", permission_mode: "acceptEdits" }],
      [{ type: "status", status: "running", model: "demo/claude", permissionMode: "acceptEdits" }],
    ],
    [
      "a message of the engine",
      [{ type: "engine.message", message: { type: "system", subtype: "init" } }],
      [{ type: "raw", message: { type: "system", subtype: "init" } }],
    ],
    ["text at once", [said("m", "hello")], [piece("hello", "m")]],
    [
      "text in pieces, which the whole message does not repeat",
      [delta("m", "hel"), delta("m", "lo"), said("m", "hello")],
      [piece("hel", "m"), piece("lo", "m")],
    ],
    [
      "text whose last piece never came",
      [delta("m", "hel"), said("m", "hello")],
      [piece("hel", "m"), piece("lo", "m")],
    ],
    [
      "text that starts over after a retry",
      [delta("m", "hel"), said("n", "hello")],
      [piece("hel", "m"), piece("hello", "n")],
    ],
    [
      "two texts whose pieces alternate",
      [delta("m", "a"), delta("n", "x"), said("m", "ab"), said("n", "xy")],
      [piece("a", "m"), piece("x", "n"), piece("b", "m"), piece("y", "n")],
    ],
    ["characters of two code units", [delta("m", "😀"), said("m", "😀😀")], [piece("😀", "m"), piece("😀", "m")]],
    [
      "a message of several blocks",
      [
        {
          type: "agent.message",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
          id: "m",
        },
      ],
      [piece("ab", "m")],
    ],
    ["an empty message", [said("m", "")], []],
    [
      "a tool call and its result",
      [
        { type: "agent.tool_use", name: "Bash", input: { command: "ls" } },
        {
          type: "agent.tool_result",
          tool_use_id: "e1",
          content: [
            { type: "text", text: "a" },
            { type: "image", source: { type: "url", url: "x" } },
            { type: "text", text: "b" },
          ],
          is_error: false,
        },
      ],
      [
        { type: "tool_call", tool: "Bash", input: { command: "ls" }, id: "e1" },
        { type: "tool_result", tool: "Bash", result: "a\n[image]\nb", id: "e1", isError: false },
      ],
    ],
    [
      "the result of a tool call from before the first event",
      [{ type: "agent.tool_result", tool_use_id: "e0", content: [], is_error: true }],
      [{ type: "tool_result", tool: "", result: "", id: "e0", isError: true }],
    ],
    [
      "a tool that is not allowed",
      [{ type: "permission.denied", tool_use_id: "e0", tool: "Write", message: "no" }],
      [
        {
          type: "permission_denied",
          tool: "Write",
          message: "no",
          hint: expect.stringContaining("bypassPermissions") as unknown,
        },
      ],
    ],
    [
      "a model call that is retried",
      [
        {
          type: "session.error",
          error: { type: "model_overloaded_error", message: "529", retry_status: { type: "retrying" } },
        },
      ],
      [{ type: "status", status: "retrying", message: "529" }],
    ],
    [
      "a model call that failed for good, which the last line reports",
      [
        {
          type: "session.error",
          error: { type: "model_overloaded_error", message: "529", retry_status: { type: "exhausted" } },
        },
      ],
      [],
    ],
    ["the end", [ended()], [{ type: "result", result: "42", ...END }]],
    [
      "a failure of the model's API, with its own status",
      [failed({ type: "upstream_error", message: "no", upstream_status: 429 })],
      [{ type: "error", error: "upstream_error", message: "no", upstreamStatus: 429, result: "", ...END }],
    ],
    [
      "a failure without an answer",
      [failed({ type: "upstream_error", message: "no", upstream_status: null })],
      [{ type: "error", error: "upstream_error", message: "no", upstreamStatus: null, result: "", ...END }],
    ],
    [
      "another failure",
      [failed({ type: "max_turns", message: "3" }, { result: "half" })],
      [{ type: "error", error: "max_turns", message: "3", result: "half", ...END }],
    ],
    [
      "an interrupt",
      [ended({ outcome: "interrupted", result: "half" })],
      [{ type: "error", error: "interrupted", message: "The run was interrupted.", result: "half", ...END }],
    ],
    [
      "a run taken out of the queue",
      [ended({ outcome: "cancelled", result: "" })],
      [{ type: "error", error: "cancelled", message: "The run was cancelled.", result: "", ...END }],
    ],
    [
      "events without a line",
      [
        { type: "user.message", content: [{ type: "text", text: "x" }] },
        { type: "user.interrupt" },
        { type: "session.status_running" },
        { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null },
        { type: "span.model_request_start", model: "m" },
        { type: "event_start", event: { type: "agent.message", id: "m" } },
        { type: "agent.thread_context_compacted" },
        { type: "from.the.future" } as unknown as Given,
      ],
      [],
    ],
  ])("%s", (_name, events, wanted) => {
    expect(lines(events)).toEqual(wanted);
  });

  it.each<[string, Given, StoryLine]>([
    ["thinking", { type: "agent.thinking", thinking: "hm" }, { type: "thinking", content: "hm" }],
    ["hidden thinking", { type: "agent.thinking" }, { type: "thinking", content: "" }],
    ["a sub-agent's text", said("m", "inner", { parent_tool_use_id: "e0" }), piece("inner", "m")],
  ])("are shown only in verbose mode: %s", (_name, event, line) => {
    expect(lines([event])).toEqual([]);
    expect(lines([event], true)).toEqual([line]);
  });

  it("joined in order, the pieces of a message are its text, wherever it was split", () => {
    const text = "The answer is 42. 😀";
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const events = [delta("m", text.slice(0, first)), delta("m", text.slice(first, second)), said("m", text)];
        expect(
          lines(events)
            .map((line) => line["content"])
            .join(""),
        ).toBe(text);
      }
    }
  });
});

describe("the HTTP status of a run that did not succeed", () => {
  it.each<[string, number]>([
    ["upstream_error", 502],
    ["prompt_too_long", 422],
    ["refused", 422],
    ["max_turns", 422],
    ["max_budget", 422],
    ["engine_failed", 500],
    ["sandbox_lost", 503],
    ["deadline_exceeded", 504],
    ["server_stopped", 503],
    ["interrupted", 409],
    ["cancelled", 409],
    ["something new", 500],
  ])("%s: %i", (error, status) => {
    expect(runErrorStatus(error)).toBe(status);
  });

  it("exists for every type of failure", () => {
    for (const type of RunErrorType.options) expect(runErrorStatus(type), type).toBeGreaterThanOrEqual(400);
  });
});
