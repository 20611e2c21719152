/** Cases 1 to 13: content blocks, above all tool calls, with and without a stream. */
import { assert } from "../testing/expect.ts";
import { answer, blocks, call, calls, chunk, end, type Row, STREAM, stream, USAGE, READ_TOOL } from "./case.ts";

const tools = { tools: [READ_TOOL, { ...READ_TOOL, name: "Grep" }] };
const streamTools = { ...STREAM, ...tools };
const A = 'Read:{"path":"a"}';
const B = 'Grep:{"path":"b"}';

export const blockRows: Row[] = [
  {
    id: "1",
    title: "argument deltas of parallel calls alternate: one block at a time, nothing mixed",
    ask: streamTools,
    reply: stream(
      calls(call(0, { id: "c1", name: "Read", args: "" })),
      calls(call(1, { id: "c2", name: "Grep", args: "" })),
      calls(call(0, { args: '{"path"' })),
      calls(call(1, { args: '{"path":' })),
      calls(call(0, { args: ':"a"}' }), call(1, { args: '"b"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A, B]),
  },
  {
    id: "2",
    title: "parallel calls that all have index 0 are distinguished by id",
    onlyHere: true,
    ask: streamTools,
    reply: stream(
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
      calls(call(0, { id: "c2", name: "Grep", args: '{"path":' })),
      calls(call(0, { args: '"b"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A, B]),
  },
  {
    id: "2",
    title: "complete calls with index 0 and no id",
    onlyHere: true,
    ask: streamTools,
    reply: stream(
      calls(call(0, { name: "Read", args: '{"path":"a"}' })),
      calls(call(0, { name: "Read", args: '{"path":"b"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A, 'Read:{"path":"b"}']),
  },
  {
    id: "3",
    title: "text after a tool call: the tool's block is closed, a new text block begins",
    onlyHere: true,
    ask: streamTools,
    reply: stream(
      chunk({ content: "First." }),
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
      chunk({ content: "Then." }),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), ["text:First.", A, "text:Then."]),
  },
  {
    id: "4",
    title: "reasoning, tool, reasoning again: a second thinking block",
    onlyHere: true,
    ask: streamTools,
    reply: stream(
      chunk({ reasoning: "Look" }),
      chunk({ reasoning: " first." }),
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
      chunk({ reasoning: "And now?" }),
      chunk({ content: "Done." }),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), ["thinking:Look first.", A, "thinking:And now?", "text:Done."]),
  },
  {
    id: "5",
    title: "reasoning and text alternate: a block each, one message_start",
    ask: STREAM,
    reply: stream(
      chunk({ role: "assistant", content: "" }),
      chunk({ role: "assistant", content: "A" }),
      chunk({ reasoning_content: "B" }),
      chunk({ reasoning_content: "C", content: "D" }),
      end("stop"),
    ),
    expect: (seen) => {
      assert.deepEqual(blocks(seen), ["text:A", "thinking:BC", "text:D"]);
      assert.ok(seen.message.content[1]?.signature, "clients drop thinking without a signature");
      assert.equal(seen.message.events.filter((event) => event.type === "message_start").length, 1);
    },
  },
  ...["stop", "function_call", null].map((finish): Row => ({
    id: "6",
    title: `finish_reason ${finish} although tools were called, streamed`,
    ask: streamTools,
    reply: stream(
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
      ...(finish === null ? [] : [end(finish)]),
    ),
    expect: (seen) => assert.equal(seen.message.stop_reason, "tool_use"),
  })),
  {
    id: "6",
    title: "finish_reason stop although tools were called, whole",
    ask: tools,
    reply: answer({ content: null, tool_calls: [call(undefined, { id: "c1", name: "Read", args: '{"path":"a"}' })] }),
    expect: (seen) => assert.equal(seen.message.stop_reason, "tool_use"),
  },
  ...["", "\n\n", null].map((content): Row => ({
    id: "7",
    title: `no empty text block before a tool call (content ${JSON.stringify(content)}), streamed`,
    ask: streamTools,
    reply: stream(
      chunk({ role: "assistant", content }),
      calls(call(0, { id: "c1", name: "Read", args: '{"path":"a"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A]),
  })),
  {
    id: "7",
    title: "no empty text block before a tool call, whole",
    ask: tools,
    reply: answer({ content: "", tool_calls: [call(undefined, { id: "c1", name: "Read", args: '{"path":"a"}' })] }),
    expect: (seen) => assert.deepEqual(blocks(seen), [A]),
  },
  {
    id: "8",
    title: "reasoning, text, two calls, finish and usage in one chunk: nothing is dropped",
    ask: streamTools,
    reply: stream(
      chunk(
        {
          reasoning: "Hm.",
          content: "Look.",
          tool_calls: [
            call(0, { id: "c1", name: "Read", args: '{"path":"a"}' }),
            call(1, { id: "c2", name: "Grep", args: '{"path":"b"}' }),
          ],
        },
        "tool_calls",
        { usage: USAGE },
      ),
    ),
    expect: (seen) => {
      assert.deepEqual(blocks(seen), ["thinking:Hm.", "text:Look.", A, B]);
      assert.equal(seen.message.usage.output_tokens, 20);
    },
  },
  {
    id: "9",
    title: "arguments arrive only at the end",
    ask: streamTools,
    reply: stream(
      calls(call(0, { id: "c1", name: "Read" })),
      calls(call(0, { args: "" })),
      calls(call(0, { args: "" })),
      chunk({ tool_calls: [call(0, { args: '{"path":"a"}' })] }, "tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A]),
  },
  {
    id: "9",
    title: "arguments arrive only in the whole message of the last chunk",
    ask: streamTools,
    reply: stream(chunk({ content: "Look." }), calls(call(0, { id: "c1", name: "Read" })), {
      choices: [
        {
          index: 0,
          message: {
            content: "Look.",
            tool_calls: [call(undefined, { id: "c1", name: "Read", args: '{"path":"a"}' })],
          },
          finish_reason: "tool_calls",
        },
      ],
    }),
    expect: (seen) => assert.deepEqual(blocks(seen), ["text:Look.", A]),
  },
  {
    id: "9",
    title: "arguments as an object instead of a string",
    ask: streamTools,
    reply: stream(calls(call(0, { id: "c1", name: "Read", args: { path: "a" } })), end("tool_calls")),
    expect: (seen) => assert.deepEqual(blocks(seen), [A]),
  },
  ...["", "{}", "null", undefined].map((args): Row => ({
    id: "10",
    title: `a call without arguments (${JSON.stringify(args)}), streamed`,
    ask: streamTools,
    reply: stream(calls(call(0, { id: "c1", name: "Read", args })), end("tool_calls")),
    expect: (seen) => {
      assert.deepEqual(blocks(seen), ["Read:{}"]);
      assert.equal(seen.message.events.filter((event) => event.type === "content_block_stop").length, 1);
    },
  })),
  {
    id: "10",
    title: "a call without arguments, whole",
    ask: tools,
    reply: answer({ tool_calls: [call(undefined, { id: "c1", name: "Read", args: "" })] }, "tool_calls"),
    expect: (seen) => assert.deepEqual(blocks(seen), ["Read:{}"]),
  },
  ...["not json", '{"path": ', "{'path':'a'}", "[1]", '"text"'].flatMap((args): Row[] => [
    {
      id: "11",
      title: `arguments that are not an object (${args}), streamed`,
      onlyHere: true,
      ask: streamTools,
      reply: stream(calls(call(0, { id: "c1", name: "Read", args })), end("tool_calls")),
      expect: (seen) => {
        assert.equal(seen.message.content[0]?.type, "tool_use");
        assert.equal(typeof seen.message.content[0]?.input, "object");
        assert.equal(seen.message.stop_reason, "tool_use");
      },
    },
    {
      id: "11",
      title: `arguments that are not an object (${args}), whole`,
      onlyHere: true,
      ask: tools,
      reply: answer({ tool_calls: [call(undefined, { id: "c1", name: "Read", args })] }, "tool_calls"),
      expect: (seen) => {
        assert.equal(seen.status, 200);
        assert.equal(typeof seen.message.content[0]?.input, "object");
        assert.notEqual(seen.message.content[0]?.input, null);
      },
    },
  ]),
  {
    id: "12",
    title: "no id: one is made",
    ask: streamTools,
    reply: stream(calls(call(0, { name: "Read", args: '{"path":"a"}' })), end("tool_calls")),
    expect: (seen) => {
      assert.deepEqual(blocks(seen), [A]);
      assert.match(seen.message.content[0]?.id ?? "", /^toolu_/);
    },
  },
  {
    id: "12",
    title: "the name comes after the arguments",
    ask: streamTools,
    reply: stream(
      calls(call(0, { id: "c1", args: '{"path":' })),
      calls(call(0, { args: '"a"}' })),
      calls(call(0, { name: "Read" })),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A]),
  },
  {
    id: "12",
    title: "no index: deltas belong to the last call",
    ask: streamTools,
    reply: stream(
      calls(call(undefined, { id: "c1", name: "Read", args: '{"path":' })),
      calls(call(undefined, { args: '"a"}' })),
      calls(call(undefined, { id: "c2", name: "Grep", args: '{"path":"b"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => assert.deepEqual(blocks(seen), [A, B]),
  },
  {
    id: "12",
    title: "an id that the conversation already has, and one that Anthropic's pattern refuses",
    ask: {
      ...streamTools,
      messages: [
        { role: "user", content: "Go" },
        { role: "assistant", content: [{ type: "tool_use", id: "call_0", name: "Read", input: {} }] },
        { role: "user", content: [{ type: "tool_result", tool_use_id: "call_0", content: "x" }] },
      ],
    },
    reply: stream(
      calls(call(0, { id: "call_0", name: "Read", args: '{"path":"a"}' })),
      calls(call(1, { id: "functions.Grep:1", name: "Grep", args: '{"path":"b"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => {
      assert.deepEqual(blocks(seen), [A, B]);
      assert.notEqual(seen.message.content[0]?.id, "call_0");
      for (const block of seen.message.content) assert.match(block.id ?? "", /^[A-Za-z0-9_-]+$/);
    },
  },
  {
    id: "13",
    title: "block indices run 0 to n-1 when the answer begins without text",
    ask: streamTools,
    reply: stream(
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "" }),
      calls(call(3, { id: "c1", name: "Read", args: '{"path":"a"}' })),
      calls(call(5, { id: "c2", name: "Grep", args: '{"path":"b"}' })),
      end("tool_calls"),
    ),
    expect: (seen) => {
      const starts = seen.message.events.filter((event) => event.type === "content_block_start");
      assert.deepEqual(
        starts.map((event) => event["index"]),
        [0, 1],
      );
    },
  },
];
