import Anthropic from "@anthropic-ai/sdk";
import type { Message as ApiMessage, RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MessagesBody } from "../request/request.ts";
import { createDemoUpstream } from "../upstreams/demo.ts";
import type { StreamAction, StreamEvent } from "./events.ts";
import { streamActions } from "./events.ts";
import type { Message } from "./message.ts";
import { toMessage } from "./message.ts";
import type { Step } from "./step.ts";
import { engineBody, scripted, testCall, testDeps } from "./testing/calls.ts";

/** Compile-time: what we send is what the API's own types say. */
type Sent = Exclude<StreamEvent, { type: "ping" }>;
const asApiEvent = (event: Sent): RawMessageStreamEvent => event;
const asApiMessage = (message: Message): ApiMessage => message;

const message = (step: Step): Message =>
  toMessage(step, { model: "demo/claude", requestBytes: 400 }, (prefix) => `${prefix}_1`);
const actions = (step: Step): StreamAction[] => [...streamActions(message(step), step)];
const events = (step: Step): StreamEvent[] =>
  actions(step).flatMap((action) => (action.do === "send" ? [action.event] : []));
const brief = (action: StreamAction): string => {
  switch (action.do) {
    case "send":
      return action.event.type === "content_block_delta" ? action.event.delta.type : action.event.type;
    case "wait":
      return `wait ${action.ms}`;
    case "error":
      return `error ${action.type}`;
    case "cut":
      return "cut";
  }
};

describe("the order of a stream", () => {
  const table: [name: string, step: Step, expected: string][] = [
    [
      "text",
      { text: "hello" },
      "message_start content_block_start ping text_delta content_block_stop message_delta message_stop",
    ],
    ["nothing at all", { text: "" }, "message_start message_delta message_stop"],
    [
      "thinking ends with its signature",
      { thinking: "hm", text: "x" },
      "message_start content_block_start ping thinking_delta signature_delta content_block_stop content_block_start text_delta content_block_stop message_delta message_stop",
    ],
    [
      "two tools",
      {
        tools: [
          { name: "A", input: {} },
          { name: "B", input: {} },
        ],
      },
      "message_start content_block_start ping input_json_delta content_block_stop content_block_start input_json_delta content_block_stop message_delta message_stop",
    ],
    [
      "pacing",
      { text: "abcd", chunk: 2, chunkMs: 5 },
      "message_start content_block_start ping wait 5 text_delta wait 5 text_delta content_block_stop message_delta message_stop",
    ],
    [
      "a stall",
      { text: "abcd", chunk: 2, stallAfter: 1, stallMs: 9 },
      "message_start content_block_start ping text_delta wait 9 text_delta content_block_stop message_delta message_stop",
    ],
    [
      "a stall for good",
      { text: "ab", stallAfter: 0 },
      "message_start content_block_start ping wait 600000 text_delta content_block_stop message_delta message_stop",
    ],
    [
      "an error event instead of the end",
      { text: "ab", streamError: "overloaded_error" },
      "message_start content_block_start ping text_delta content_block_stop error overloaded_error",
    ],
  ];
  test.each(table)("%s", (_name, step, expected) => {
    expect(actions(step).map(brief).join(" ")).toBe(expected);
  });

  test.each([0, 1, 2])("cut after %i deltas", (cutAfter) => {
    const played = actions({ text: "abcd", chunk: 2, cutAfter }).map(brief);
    const until = played.slice(0, played.indexOf("cut"));
    expect(until.filter((name) => name === "text_delta")).toHaveLength(cutAfter);
    expect(played).toContain("cut");
  });

  test("a stream that has fewer deltas is not cut", () => {
    expect(actions({ text: "abcd", chunk: 2, cutAfter: 3 }).map(brief)).not.toContain("cut");
  });

  test("each event has the API's type", () => {
    const step: Step = { thinking: "hm", text: "x", tool: "Bash", input: { command: "ls" } };
    expect(asApiMessage(message(step)).stop_reason).toBe("tool_use");
    expect(
      events(step)
        .filter((event) => event.type !== "ping")
        .map(asApiEvent),
    ).toHaveLength(13);
  });

  test("a character is never cut in two", () => {
    const pieces = events({ text: "a😀b😀", chunk: 1 }).flatMap((event) =>
      event.type === "content_block_delta" && event.delta.type === "text_delta" ? [event.delta.text] : [],
    );
    expect(pieces).toEqual(["a", "😀", "b", "😀"]);
  });
});

/** The API's own client, talking to the demonstration model as if it were the API. Ids start again with each client. */
function client(): Anthropic {
  const deps = testDeps();
  const upstream = createDemoUpstream();
  return new Anthropic({
    apiKey: "none",
    maxRetries: 0,
    fetch: async (_url, init) => upstream(await testCall(JSON.parse(init?.body as string) as MessagesBody), deps),
  });
}

async function bothWays(prompt: string): Promise<[streamed: ApiMessage, whole: ApiMessage]> {
  const params = { model: "demo/claude", max_tokens: 100, messages: [{ role: "user" as const, content: prompt }] };
  const streamed = await client().messages.stream(params).finalMessage();
  const whole = await client().messages.create(params);
  return [streamed, whole];
}

const anyText = fc.string({ unit: "binary", maxLength: 60 });
const anyInput = fc.dictionary(
  fc.string({ maxLength: 8 }).filter((key) => key !== "__proto__"),
  fc.jsonValue({ maxDepth: 2 }),
  { maxKeys: 4 },
);
const anyStep = fc.record(
  {
    text: anyText,
    thinking: anyText,
    tools: fc.array(fc.record({ name: fc.constantFrom("Bash", "Write"), input: anyInput }), { maxLength: 3 }),
    chunk: fc.integer({ min: 1, max: 50 }),
    chunkMs: fc.integer({ min: 0, max: 5 }),
    ttftMs: fc.integer({ min: 0, max: 5 }),
    stallAfter: fc.nat(5),
    stopReason: fc.constantFrom("end_turn", "max_tokens", "tool_use", "pause_turn"),
    usage: fc.record({
      output_tokens: fc.nat(1000),
      cache_read_input_tokens: fc.nat(1000),
      cache_creation_input_tokens: fc.nat(1000),
    }),
  },
  { requiredKeys: [] },
);

test("for any script the streamed answer adds up to the answer without a stream", async () => {
  await fc.assert(
    fc.asyncProperty(anyStep, async (step) => {
      // The estimate of input tokens counts the request's bytes, and "stream": true is some of them.
      const usage = { ...step.usage, input_tokens: 7 };
      const [streamed, whole] = await bothWays(scripted({ ...step, usage }));
      expect(plain(streamed)).toEqual(plain(whole));
      expect(whole.content.filter((block) => block.type === "tool_use")).toHaveLength(step.tools?.length ?? 0);
    }),
    { numRuns: 150 },
  );
});

/** Clients hang getters and helpers on what they give out. */
function plain(value: ApiMessage): unknown {
  const { id, type, role, model, container, diagnostics, content, stop_details, stop_reason, stop_sequence, usage } =
    value;
  return structuredClone({
    id,
    type,
    role,
    model,
    container,
    diagnostics,
    content,
    stop_details,
    stop_reason,
    stop_sequence,
    usage,
  });
}

test("an independent parser reads the server-sent events", async () => {
  const response = await createDemoUpstream()(
    await testCall(engineBody(scripted({ text: "line\n\ndata: x\r\u2028", chunk: 3 }))),
    testDeps(),
  );
  const names: string[] = [];
  let text = "";
  const parser = createParser({
    onEvent(event) {
      const data = JSON.parse(event.data) as StreamEvent;
      expect(event.event).toBe(data.type);
      names.push(data.type);
      if (data.type === "content_block_delta" && data.delta.type === "text_delta") text += data.delta.text;
    },
  });
  parser.feed(await response.text());
  expect(text).toBe("line\n\ndata: x\r\u2028");
  expect(names.at(0)).toBe("message_start");
  expect(names.at(-1)).toBe("message_stop");
});
