/** Cases 26 to 34 and documents: the conversation that a provider gets. */
import { assert } from "../testing/expect.ts";
import { assistant, READ_TOOL, result, roles, type Row, type Seen, STREAM, text, toolUse, user } from "./case.ts";
import { blocks, stream } from "./case.ts";

const PNG = "iVBORw0KGgo=";
const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
const pdf = {
  type: "document",
  title: "Report",
  source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" },
};
const cached = { cache_control: { type: "ephemeral" } };

/** The tool messages that a provider got: id and content. */
function toolMessages(seen: Seen): [string, unknown][] {
  const messages = seen.sent.messages as { role: string; tool_call_id: string; content: unknown }[];
  return messages
    .filter((message) => message.role === "tool")
    .map((message) => [message.tool_call_id, message.content]);
}

/** A conversation with one call and its `results`. */
function afterCall(...results: Record<string, unknown>[]): { messages: unknown[] } {
  return { messages: [{ role: "user", content: "Go" }, assistant(toolUse("c1", { path: "a" })), user(...results)] };
}

const twoCalls = [{ role: "user", content: "Go" }, assistant(toolUse("c1"), toolUse("c2"))];

export const requestRows: Row[] = [
  {
    id: "26",
    title: "a tool result with several texts is text, not JSON",
    ask: afterCall(result("c1", [text("one"), text("two")])),
    expect: (seen) => assert.deepEqual(toolMessages(seen), [["c1", "one\ntwo"]]),
  },
  {
    id: "27",
    title: "images in two parallel results come after all tool messages",
    ask: { messages: [...twoCalls, user(result("c1", [text("first"), image]), result("c2", [image]))] },
    expect: (seen) => {
      assert.deepEqual(roles(seen), ["user", "assistant", "tool", "tool", "user"]);
      for (const [, content] of toolMessages(seen)) assert.ok(typeof content === "string" && content !== "");
      const parts = seen.sent.messages[4].content as { type: string; image_url?: { url: string } }[];
      const images = parts.filter((part) => part.type === "image_url");
      assert.equal(images.length, 2);
      assert.equal(images[0]?.image_url?.url, `data:image/png;base64,${PNG}`);
    },
  },
  {
    id: "27",
    title: "a user's images, by data and by address",
    ask: {
      messages: [user(text("See"), image, { type: "image", source: { type: "url", url: "https://x.test/i.png" } })],
    },
    expect: (seen) => {
      const parts = seen.sent.messages[0].content as { type: string }[];
      assert.deepEqual(
        parts.map((part) => part.type),
        ["text", "image_url", "image_url"],
      );
    },
  },
  ...(
    [
      ["missing", undefined],
      ["an empty string", ""],
      ["an empty list", []],
      ["an empty text", [text("")]],
    ] as const
  ).map(([what, content]): Row => ({
    id: "28",
    title: `a tool result that is ${what}: a string, never null`,
    onlyHere: true,
    ask: afterCall(result("c1", content)),
    expect: (seen) => {
      const [[, said] = []] = toolMessages(seen);
      assert.equal(typeof said, "string");
      assert.notEqual(said, "");
    },
  })),
  {
    id: "28",
    title: "a failed result says that it failed",
    ask: afterCall(result("c1", "no such file", { is_error: true })),
    expect: (seen) => assert.deepEqual(toolMessages(seen), [["c1", "Error: no such file"]]),
  },
  {
    id: "29",
    title: "text before the tool result in one user turn: tool messages first",
    ask: afterCall(text("By the way"), result("c1", "ok")),
    expect: (seen) => {
      assert.deepEqual(roles(seen), ["user", "assistant", "tool", "user"]);
      assert.equal(seen.sent.messages[3].content, "By the way");
    },
  },
  {
    id: "30",
    title: "parallel results over several user turns, out of order: collected, none invented",
    ask: { messages: [...twoCalls, user(result("c2", "two")), user(text("note")), user(result("c1", "one"))] },
    expect: (seen) => {
      assert.deepEqual(toolMessages(seen), [
        ["c1", "one"],
        ["c2", "two"],
      ]);
      assert.deepEqual(roles(seen), ["user", "assistant", "tool", "tool", "user"]);
    },
  },
  {
    id: "30",
    title: "a result that comes after the next assistant turn is moved behind its call",
    ask: {
      messages: [...twoCalls, user(result("c1", "one")), assistant(text("Waiting.")), user(result("c2", "two"))],
    },
    expect: (seen) => {
      assert.deepEqual(toolMessages(seen), [
        ["c1", "one"],
        ["c2", "two"],
      ]);
      assert.deepEqual(roles(seen), ["user", "assistant", "tool", "tool", "assistant"]);
    },
  },
  {
    id: "30",
    title: "a call that never got a result is answered, because the dialect demands it",
    ask: { messages: [...twoCalls, user(result("c1", "one"), text("Go on"))] },
    expect: (seen) =>
      assert.deepEqual(
        toolMessages(seen).map(([id]) => id),
        ["c1", "c2"],
      ),
  },
  {
    id: "31",
    title: "a result without its call is user text",
    ask: { messages: [user(result("gone", "the answer was 42"), text("Go on"))] },
    expect: (seen) => {
      assert.deepEqual(roles(seen), ["user"]);
      assert.match(seen.sent.messages[0].content as string, /the answer was 42[\s\S]*Go on/);
    },
  },
  {
    id: "32",
    title: "system as a list: order kept, cache_control gone for strict providers",
    provider: "groq",
    ask: {
      system: [text("One.", cached), text("Two.")],
      messages: [user(text("Hi", cached))],
      tools: [{ ...READ_TOOL, ...cached }],
    },
    expect: (seen) => {
      assert.deepEqual(roles(seen), ["system", "user"]);
      assert.match(JSON.stringify(seen.sent.messages[0].content), /One\..*Two\./);
      assert.ok(!JSON.stringify(seen.sent).includes("cache_control"));
    },
  },
  {
    id: "32",
    title: "cache_control kept for a Claude model behind OpenRouter",
    provider: "openrouter",
    model: "anthropic/claude-sonnet-5",
    ask: {
      system: [text("One.", cached), text("Two.")],
      messages: [...twoCalls, user(result("c1", "x"), result("c2", "y", cached))],
    },
    expect: (seen) => {
      const [system] = seen.sent.messages;
      assert.deepEqual(system.content, [text("One.", cached), text("Two.")]);
      assert.deepEqual(seen.sent.messages.at(-1).content, [text("y", cached)]);
    },
  },
  {
    id: "32",
    title: "the billing line of Claude Code does not reach other providers",
    ask: { system: [text("x-anthropic-billing-header: cc_version=2.1;"), text("You are Claude Code.")] },
    expect: (seen) => assert.equal(seen.sent.messages[0].content, "You are Claude Code."),
  },
  {
    id: "33",
    title: "role:system in the middle comes after the tool results",
    ask: {
      messages: [
        { role: "user", content: "Go" },
        assistant(toolUse("c1")),
        { role: "system", content: "Plan mode is on." },
        user(result("c1", "ok")),
      ],
    },
    expect: (seen) => {
      assert.deepEqual(roles(seen), ["user", "assistant", "tool", "user"]);
      assert.match(seen.sent.messages[3].content as string, /Plan mode is on\./);
    },
  },
  {
    id: "34",
    title: "earlier thinking is not sent as a part; a turn with only thinking is not an empty message",
    ask: {
      messages: [
        { role: "user", content: "Go" },
        assistant({ type: "thinking", thinking: "Hm", signature: "s" }),
        assistant({ type: "redacted_thinking", data: "xxx" }, text("Yes?")),
        { role: "user", content: "On" },
      ],
    },
    expect: (seen) => {
      const body = JSON.stringify(seen.sent.messages);
      assert.ok(!body.includes("thinking") && !body.includes("xxx") && !body.includes('"content":[]'));
      assert.deepEqual(roles(seen), ["user", "assistant", "user"]);
    },
  },
  {
    id: "34",
    title: "DeepSeek gets its reasoning_content back",
    provider: "deepseek",
    ask: {
      messages: [
        { role: "user", content: "Go" },
        assistant({ type: "thinking", thinking: "I should read.", signature: "s" }, toolUse("c1")),
        user(result("c1", "ok")),
        assistant(toolUse("c2")),
        user(result("c2", "ok")),
      ],
    },
    expect: (seen) => {
      assert.equal(seen.sent.messages[1].reasoning_content, "I should read.");
      assert.equal(seen.sent.messages[3].reasoning_content, "");
    },
  },
  {
    id: "34",
    title: "OpenRouter's signed reasoning makes the round trip",
    provider: "openrouter",
    ask: STREAM,
    reply: stream(
      {
        choices: [
          {
            index: 0,
            delta: { reasoning: "Hm", reasoning_details: [{ type: "reasoning.text", index: 0, text: "Hm" }] },
          },
        ],
      },
      {
        choices: [{ index: 0, delta: { reasoning_details: [{ type: "reasoning.text", index: 0, signature: "sig" }] } }],
      },
      { choices: [{ index: 0, delta: { content: "Hi" }, finish_reason: "stop" }] },
    ),
    expect: (seen) => {
      assert.deepEqual(blocks(seen), ["thinking:Hm", "text:Hi"]);
      assert.ok((seen.message.content[0]?.signature?.length ?? 0) > 40);
    },
  },
  {
    id: "+ documents",
    title: "a text document is text",
    onlyHere: true,
    ask: { messages: [user({ type: "document", source: { type: "text", media_type: "text/plain", data: "Body." } })] },
    expect: (seen) => assert.match(seen.sent.messages[0].content as string, /Body\./),
  },
  {
    id: "+ documents",
    title: "a PDF is a file part where the provider reads PDFs",
    onlyHere: true,
    provider: "openai",
    model: "gpt-4o",
    ask: { messages: [user(text("See"), pdf)] },
    expect: (seen) =>
      assert.deepEqual(seen.sent.messages[0].content[1], {
        type: "file",
        file: { filename: "Report.pdf", file_data: "data:application/pdf;base64,JVBERi0=" },
      }),
  },
  {
    id: "+ documents",
    title: "a PDF is described in words where the provider cannot read it",
    onlyHere: true,
    provider: "groq",
    ask: { messages: [user(text("See"), pdf)] },
    expect: (seen) => {
      assert.match(seen.sent.messages[0].content as string, /document "Report" \(PDF\)/);
      assert.ok(!JSON.stringify(seen.sent).includes("JVBERi0="));
    },
  },
];
