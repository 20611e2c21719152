import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { MAX_EVENT_CHARS, RunnerEvent } from "@gantry/protocol/event.ts";
import { describe, expect, it } from "vitest";
import { translate } from "./translate.ts";
import { initialState } from "./translate/state.ts";
import type { TranslatedEvent, TranslateState } from "./translate/state.ts";

/**
 * Every recorded stream of the engine goes through the translation, and the events are compared with
 * `samples/golden/<case>.json`. `UPDATE_GOLDEN=1` rewrites those files; read the difference before you commit it.
 */

const SAMPLES = join(import.meta.dirname, "../samples");
const GOLDEN = join(SAMPLES, "golden");
const CASES = readdirSync(SAMPLES)
  .filter((name) => name.endsWith(".ndjson"))
  .map((name) => name.slice(0, -".ndjson".length));

type Ended = Extract<TranslatedEvent, { type: "run.ended" }>;
type Raw = Record<string, unknown> & { type?: string };

/** The messages of a recording, without input to the engine, callbacks, and what the iterator threw. */
function messagesOf(name: string): Raw[] {
  const lines = readFileSync(join(SAMPLES, `${name}.ndjson`), "utf8").split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("> "))
    .map((line) => JSON.parse(line.replace(/^< /, "")) as Raw)
    .filter((message) => !("__thrown" in message) && !("__callback" in message));
}

/** Translates messages in order. `batches` holds the events of each message. */
function play(
  messages: readonly object[],
  from: TranslateState = initialState,
): { state: TranslateState; batches: TranslatedEvent[][]; events: TranslatedEvent[] } {
  let state = from;
  let ids = 0;
  const batches = messages.map((message) => {
    const before = structuredClone(state);
    const given = state;
    const { state: next, events } = translate(given, message as SDKMessage, () => `e${++ids}`);
    expect(given, "the translation is pure").toEqual(before);
    state = next;
    return [...events];
  });
  return { state, batches, events: batches.flat() };
}

function endsOf(events: readonly TranslatedEvent[]): Ended[] {
  return events.filter((event): event is Ended => event.type === "run.ended");
}

function named(name: string): TranslatedEvent[] {
  const found = CASES.find((file) => file === name || file.startsWith(`${name}-`));
  if (!found) throw new Error(`no recording ${name}`);
  return play(messagesOf(found)).events;
}

describe("recordings", () => {
  it("are all there", () => {
    expect(CASES.length).toBeGreaterThanOrEqual(73);
  });

  it("contain messages, except the one whose engine did not start", () => {
    expect(CASES.filter((name) => messagesOf(name).length === 0)).toEqual(["29-bad-cwd"]);
  });

  it.each(CASES)("%s", (name) => {
    const { events } = play(messagesOf(name));
    const path = join(GOLDEN, `${name}.json`);
    if (process.env["UPDATE_GOLDEN"] === "1") {
      mkdirSync(GOLDEN, { recursive: true });
      writeFileSync(path, `[\n${events.map((event) => `  ${JSON.stringify(event)}`).join(",\n")}\n]\n`);
    }
    expect(events).toEqual(JSON.parse(readFileSync(path, "utf8")));
  });

  it("have no golden file without a recording", () => {
    expect(readdirSync(GOLDEN).map((name) => name.replace(/\.json$/, ""))).toEqual(CASES);
  });
});

describe.each(CASES)("every stream: %s", (name) => {
  const messages = messagesOf(name);
  const { batches, events, state } = play(messages);

  it("gives only events that a runner may report, each with a unique id", () => {
    for (const event of events) {
      const { id, thread: _thread, ...bare } = event;
      expect(id).toMatch(/^e\d+$/);
      expect(RunnerEvent.parse(bare)).toEqual(bare);
    }
    // A preview names the id of the event that follows; nothing else shares an id.
    const ids = events.map((event) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("ends a run once for each result that ends one, and never ends an error as a success", () => {
    messages.forEach((message, at) => {
      const ended = endsOf(batches[at] ?? []);
      const origin = message["origin"] as { kind: string } | undefined;
      const ends = message.type === "result" && !message["queued_turn_count"] && (origin?.kind ?? "human") === "human";
      expect(ended.length).toBe(ends ? 1 : 0);
      if (!ended[0]) return;
      if (message["is_error"] === true) expect(ended[0].outcome).not.toBe("succeeded");
      else expect(ended[0]).toMatchObject({ outcome: "succeeded", error: null });
      expect(ended[0].error === null).toBe(ended[0].outcome !== "failed");
      expect(batches[at]?.at(-1), "the end comes last").toBe(ended[0]);
    });
  });

  it("refers only to tool calls that were reported before", () => {
    const calls = new Set<string>();
    for (const event of events) {
      if (event.type === "agent.tool_use") calls.add(event.id);
      if (event.type === "agent.tool_result" || event.type === "permission.denied")
        expect(calls.has(event.tool_use_id ?? "none")).toBe(true);
      if ((event.type === "agent.message" || event.type === "agent.tool_use") && event.parent_tool_use_id !== undefined)
        expect(calls.has(event.parent_tool_use_id)).toBe(true);
    }
  });

  it("opens and closes one model request at a time", () => {
    let open: string | null = null;
    for (const event of events) {
      if (event.type === "span.model_request_start") {
        expect(open).toBeNull();
        open = event.id;
      }
      if (event.type === "span.model_request_end") {
        expect(event.model_request_start_id).toBe(open);
        open = null;
      }
      if (event.type === "run.ended") expect(open, "open at the end of a run").toBeNull();
    }
    // A request is open at the end of a stream only if the engine died during it.
    expect(state.span?.id ?? null).toBe(open);
    if (messages.at(-1)?.type === "result") expect(open).toBeNull();
  });

  it("shows in previews the same text as the message that follows, if one does", () => {
    const shown = new Map<string, { type: string; text: string; kept: boolean }>();
    for (const event of events) {
      if (event.type === "event_start") {
        expect(shown.has(event.event.id)).toBe(false);
        shown.set(event.event.id, { type: event.event.type, text: "", kept: false });
      } else if (event.type === "event_delta") {
        const preview = shown.get(event.event_id);
        expect(preview?.type, "a delta belongs to a message that has begun").toBe("agent.message");
        expect(preview?.kept, "and that has not come yet").toBe(false);
        if (preview) preview.text += event.delta.content.text;
      } else if (event.type === "agent.message" || event.type === "agent.thinking") {
        const preview = shown.get(event.id);
        if (!preview) continue;
        expect(preview.type).toBe(event.type);
        expect(preview.kept).toBe(false);
        preview.kept = true;
        if (event.type === "agent.message")
          expect(event.content.map((block) => block.text).join("")).toBe(preview.text);
      }
    }
    // Only a failed request or a dead engine leaves a preview without its message.
    const unkept = [...shown.values()].some((preview) => !preview.kept);
    const failed = events.some((event) => event.type === "span.model_request_end" && event.is_error);
    expect(unkept && !failed && state.span === null).toBe(false);
  });

  it("keeps the engine's diagnostics to itself", () => {
    expect(JSON.stringify(events)).not.toContain("ede_diagnostic");
  });
});

/** How each kind of ending is reported. `said` is a part of the error's message. */
const ENDINGS: [
  name: string,
  ends: { outcome: string; type?: string; status?: number | null; said?: string; result?: string }[],
][] = [
  ["01-basic-partial", [{ outcome: "succeeded", result: "All done." }]],
  ["04-max-turns", [{ outcome: "failed", type: "max_turns", said: "maximum number of turns (1)", result: "" }]],
  ["05-max-budget", [{ outcome: "failed", type: "max_budget", said: "maximum budget ($0.01)" }]],
  ["08-default-canUseTool-deny-interrupt", [{ outcome: "interrupted" }]],
  ["10-acceptEdits-no-handler", [{ outcome: "succeeded", result: "x" }]],
  ["15-structured", [{ outcome: "succeeded", result: '{"answer":42}' }]],
  ["18-bg-bash", [{ outcome: "succeeded", result: "main done" }]],
  ["21-compact", [{ outcome: "succeeded", result: "" }]],
  ["22b-refusal", [{ outcome: "failed", type: "refused", said: "safeguards flagged this message" }]],
  ["27-empty-reply", [{ outcome: "succeeded", result: "" }]],
  ["29-bad-cwd", []],
  ["30-resume-missing", [{ outcome: "failed", type: "engine_failed", said: "No conversation found" }]],
  ["31-bad-model-404", [{ outcome: "failed", type: "upstream_error", status: 404 }]],
  ["33-400-context", [{ outcome: "failed", type: "prompt_too_long", said: "Prompt is too long" }]],
  ["35-413", [{ outcome: "failed", type: "upstream_error", status: 413 }]],
  ["40-429-once-retryafter1", [{ outcome: "succeeded", result: "recovered" }]],
  ["41-429-forever-max2", [{ outcome: "failed", type: "upstream_error", status: 429 }]],
  ["41b-429-retryafter-60-max2", []],
  ["42-529-forever-max2", [{ outcome: "failed", type: "upstream_error", status: 529 }]],
  ["43-500-forever-max2", [{ outcome: "failed", type: "upstream_error", status: 500 }]],
  ["44-refused-max2", [{ outcome: "failed", type: "upstream_error", status: null, said: "Connection refused" }]],
  ["46-cut-midstream-once", [{ outcome: "succeeded" }]],
  ["46b-cut-midstream-nonstream-off", [{ outcome: "failed", type: "upstream_error", status: null, result: "" }]],
  ["52-401-max2", [{ outcome: "failed", type: "upstream_error", status: 401 }]],
  ["57-html-200", [{ outcome: "failed", type: "upstream_error", status: null }]],
  ["60-interrupt-in-tool", [{ outcome: "interrupted", result: "starting" }]],
  ["61-interrupt-in-text", [{ outcome: "interrupted", result: "B".repeat(100) }]],
  ["62-abort-in-tool", []],
  ["65-sigkill-in-tool", []],
  ["69-interrupt-bg", [{ outcome: "interrupted", result: "" }]],
  [
    "80-raw-wire-permission-setmodel-interrupt",
    [{ outcome: "succeeded", result: "ok" }, { outcome: "interrupted" }, { outcome: "succeeded", result: "fin" }],
  ],
];

describe("endings", () => {
  it.each(ENDINGS)("%s", (name, wanted) => {
    const ends = endsOf(named(name));
    expect(ends.length).toBe(wanted.length);
    wanted.forEach((want, at) => {
      const end = ends[at];
      expect(end?.outcome).toBe(want.outcome);
      expect(end?.error?.type).toBe(want.type);
      if (want.type === "upstream_error") expect(end?.error?.upstream_status).toBe(want.status);
      if (want.said !== undefined) expect(end?.error?.message).toContain(want.said);
      if (want.result !== undefined) expect(end?.result).toBe(want.result);
    });
  });
});

describe("details of recordings", () => {
  it("a denied tool: the denial, then its result as an error, and the run continues", () => {
    const denials = named("10").filter(
      (event) => event.type === "permission.denied" || event.type === "agent.tool_result",
    );
    expect(denials).toMatchObject([
      { type: "agent.tool_result", is_error: false },
      { type: "permission.denied", tool: "Bash", message: "This command requires approval" },
      { type: "agent.tool_result", is_error: true },
      { type: "agent.tool_result", is_error: false },
      { type: "permission.denied", tool: "Write" },
      { type: "agent.tool_result", is_error: true },
    ]);
  });

  it("each retry is reported with the upstream's status, and the last failure as exhausted", () => {
    const errors = named("41-429").filter((event) => event.type === "session.error");
    const of = (status: string, says: string): object => ({
      error: {
        type: "model_rate_limited_error",
        retry_status: { type: status },
        upstream_status: 429,
        message: expect.stringContaining(says) as unknown,
      },
    });
    expect(errors).toMatchObject([
      of("retrying", "(429); try 1 of 2"),
      of("retrying", "(429); try 2 of 2"),
      of("exhausted", "Request rejected (429)"),
    ]);
    expect(JSON.stringify(named("44"))).toContain("(no answer); try 1 of 2");
  });

  it("a cut stream: two model requests failed, and the text has a new id", () => {
    const events = named("46-cut-midstream-once");
    const requests = events.filter((event) => event.type === "span.model_request_end");
    expect(requests.map((event) => event.is_error)).toEqual([true, true]);
    const begun = events.flatMap((event) => (event.type === "event_start" ? [event.event.id] : []));
    const message = events.find((event) => event.type === "agent.message");
    expect(begun).toHaveLength(2);
    expect(begun).not.toContain(message?.id);
  });

  it("a background task that ends between runs leads to a message and ends no run", () => {
    const { batches, state } = play(messagesOf("18-bg-bash"));
    const last = batches.findLastIndex((batch) => endsOf(batch).length > 0);
    expect(batches.slice(last + 1).flat()).toMatchObject([{ type: "agent.message" }]);
    expect(state.backgroundTasks).toEqual([]);
  });

  it("a background task that survives the interrupt of its run is known", () => {
    expect(play(messagesOf("69-interrupt-bg")).state.backgroundTasks).toHaveLength(1);
  });

  it("a sub-agent's work is reported as part of its call", () => {
    const call = { type: "tool_use", id: "toolu_1", name: "Agent", input: {} };
    const { events } = play([
      { type: "assistant", parent_tool_use_id: null, message: { content: [call] } },
      { type: "assistant", parent_tool_use_id: "toolu_1", message: { content: [{ type: "text", text: "inner" }] } },
      { type: "stream_event", parent_tool_use_id: "toolu_1", event: { type: "message_start", message: { id: "m" } } },
    ]);
    expect(events).toEqual([
      { type: "agent.tool_use", id: "e1", name: "Agent", input: {} },
      { type: "agent.message", id: "e2", content: [{ type: "text", text: "inner" }], parent_tool_use_id: "e1" },
    ]);
  });
});

const said = (text: string): object => ({
  type: "assistant",
  parent_tool_use_id: null,
  message: { content: [{ type: "text", text }] },
});
const result = (fields: object): object => ({
  type: "result",
  subtype: "success",
  is_error: false,
  result: "",
  num_turns: 1,
  duration_ms: 1,
  usage: {},
  ...fields,
});

describe("state between runs", () => {
  it("a run without text does not inherit the text of the one before", () => {
    const { events } = play([said("first"), result({ result: "first" }), result({})]);
    expect(endsOf(events).map((end) => end.result)).toEqual(["first", ""]);
  });

  it("a run without text does not inherit the text of the engine's own errand", () => {
    const errand = { origin: { kind: "task-notification" }, result: "errand" };
    const { events } = play([
      said("first"),
      result({ result: "first" }),
      said("errand"),
      result(errand),
      result({ subtype: "error_max_turns", is_error: true, errors: [] }),
    ]);
    expect(endsOf(events).map((end) => end.result)).toEqual(["first", ""]);
  });

  it("a result with more input queued in the engine is not the end", () => {
    const { events } = play([said("first"), result({ queued_turn_count: 1 }), said("second"), result({})]);
    expect(endsOf(events).map((end) => end.result)).toEqual(["second"]);
  });

  it("a tool's result in a later run still finds its call", () => {
    const { events } = play([
      {
        type: "assistant",
        parent_tool_use_id: null,
        message: { content: [{ type: "tool_use", id: "t", name: "Bash" }] },
      },
      result({}),
      { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "t", content: "late" }] } },
    ]);
    expect(events.at(-1)).toMatchObject({ type: "agent.tool_result", tool_use_id: "e1" });
  });
});

const begins: object = {
  type: "stream_event",
  parent_tool_use_id: null,
  event: { type: "message_start", message: { id: "msg_1", model: "m", usage: { input_tokens: 7 } } },
};

describe("cases without a recording", () => {
  const usage = { input_tokens: 7, output_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
  const requestEnd = {
    type: "span.model_request_end",
    model_request_start_id: "e1",
    is_error: true,
    model_usage: usage,
  };

  it.each<[string, object]>([
    ["another request begins", begins],
    ["the engine tries again", { type: "system", subtype: "api_retry", attempt: 1, max_retries: 2, retry_delay_ms: 1 }],
    ["the run ends", result({})],
  ])("a model request that is open when %s has failed", (_name, message) => {
    expect(play([begins, message]).events[1]).toMatchObject(requestEnd);
  });

  it("an engine that stops by itself: its diagnostics are left out", () => {
    const errors = ["[ede_diagnostic] result_type=user", "Something broke."];
    const { events } = play([result({ subtype: "error_during_execution", is_error: true, errors })]);
    expect(endsOf(events)[0]?.error).toEqual({ type: "engine_failed", message: "Something broke." });
  });

  it("an engine that stops without a reason: the error still has a message", () => {
    const { events } = play([result({ subtype: "error_during_execution", is_error: true, errors: [] })]);
    expect(endsOf(events)[0]?.error?.message).not.toBe("");
  });
});

describe("unknown messages have no effect", () => {
  it.each<[string, object]>([
    ["a message type", { type: "hologram", deep: [1] }],
    ["no type", { response: 1 }],
    ["a system message", { type: "system", subtype: "ui_invalidate" }],
    ["a stream event", { type: "stream_event", parent_tool_use_id: null, event: { type: "dream" } }],
    ["a block in an answer", { type: "assistant", parent_tool_use_id: null, message: { content: [{ type: "ink" }] } }],
    ["a block from the user", { type: "user", message: { content: [{ type: "ink" }] } }],
    [
      "a result without a call",
      { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "x", content: "y" }] } },
    ],
    ["text from the user", { type: "user", message: { content: "<local-command-stdout>" } }],
  ])("%s", (_name, message) => {
    const before = play([said("x")]).state;
    const { state, events } = play([message], before);
    expect(events).toEqual([]);
    expect(state).toEqual(before);
  });
});

describe("text", () => {
  const huge = "x".repeat(3 * MAX_EVENT_CHARS);
  const use = (input: unknown): object => ({
    type: "assistant",
    parent_tool_use_id: null,
    message: { content: [{ type: "tool_use", id: "t", name: "Write", input }] },
  });
  const toolResult = (content: unknown): object[] => [
    use({}),
    { type: "user", message: { content: [{ type: "tool_result", tool_use_id: "t", content }] } },
  ];
  const image = (data: string): object => ({
    type: "image",
    source: { type: "base64", media_type: "image/png", data },
  });

  it.each<[string, object[]]>([
    ["a message", [said(huge)]],
    ["thoughts", [{ type: "assistant", message: { content: [{ type: "thinking", thinking: huge }] } }]],
    ["a call's text", [use({ file_path: "a", content: huge })]],
    ["a call's list", [use({ list: Array.from({ length: 200_000 }, () => "abcdef") })]],
    ["a result's text", toolResult(huge)],
    ["a result's many texts", toolResult(Array.from({ length: 9 }, () => ({ type: "text", text: huge })))],
    ["a result's image", toolResult([image(huge)])],
    ["the run's result", [said(huge), result({ result: huge })]],
    ["a failure", [result({ is_error: true, result: huge })]],
  ])("of %s is shortened, with a note", (_name, messages) => {
    const { events } = play(messages);
    for (const event of events) {
      expect(JSON.stringify(event).length).toBeLessThanOrEqual(MAX_EVENT_CHARS);
      const { id: _id, ...bare } = event;
      expect(() => RunnerEvent.parse(bare)).not.toThrow();
    }
    expect(JSON.stringify(events)).toContain("left out");
  });

  it("that fits is left unchanged", () => {
    const fits = "x".repeat(100_000);
    expect(play([said(fits)]).events).toMatchObject([{ content: [{ text: fits }] }]);
    expect(play(toolResult([{ type: "text", text: fits }, image("eA==")])).events[1]).toMatchObject({
      content: [{ text: fits }, { type: "image" }],
    });
  });
});
