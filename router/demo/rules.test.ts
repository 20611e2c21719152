import { describe, expect, test } from "vitest";
import { toConversation } from "./conversation.ts";
import { RULES, ruleStep } from "./rules.ts";
import type { Step } from "./step.ts";
import { engineBody, exchange } from "./testing/calls.ts";

const answer = (prompt: string, ...more: unknown[]): Step => ruleStep(toConversation(engineBody(prompt, ...more)));
const said = (text: string): unknown => ({ role: "assistant", content: [{ type: "text", text }] });
const asked = (text: string): unknown => ({ role: "user", content: [{ type: "text", text }] });

describe("the first step", () => {
  const table: [prompt: string, expected: Step][] = [
    ["What is 7 * 6?", { text: "7 * 6 = 42" }],
    ["What is 1 / 0?", { text: "1 / 0 has no value: it divides by zero." }],
    [
      "Create notes.txt containing hello",
      { tool: "Write", input: { file_path: "/workspace/notes.txt", content: "hello" } },
    ],
    ["Create /tmp/a.txt containing hello", { tool: "Write", input: { file_path: "/tmp/a.txt", content: "hello" } }],
    [
      "Create ./a/b.txt containing hello",
      { tool: "Write", input: { file_path: "/workspace/a/b.txt", content: "hello" } },
    ],
    [
      "Create a hello world app",
      { tool: "Write", input: { file_path: "/workspace/hello.js", content: 'console.log("Hello, world!");\n' } },
    ],
    ["Run echo hi", { tool: "Bash", input: { command: "echo hi", description: "Run the command that was asked for" } }],
    ["List the files", { tool: "Bash", input: { command: "ls -la", description: "List the files" } }],
    ["List files in a;b", { tool: "Bash", input: { command: "ls -la -- 'a;b'", description: "List the files" } }],
    ["Read notes.txt", { tool: "Read", input: { file_path: "/workspace/notes.txt" } }],
  ];
  test.each(table)("%s", (prompt, expected) => {
    expect(answer(prompt)).toMatchObject(expected);
  });

  test("without an environment block a path stays as written", () => {
    const body = engineBody("Read notes.txt");
    const bare = { ...body, messages: body.messages.slice(0, 1) };
    expect(ruleStep(toConversation(bare))).toMatchObject({ input: { file_path: "notes.txt" } });
  });

  test("Glob lists where there is no Bash", () => {
    const body = { ...engineBody("List files in src"), tools: [{ name: "Glob" }] };
    expect(ruleStep(toConversation(body))).toMatchObject({
      tool: "Glob",
      input: { pattern: "*", path: "/workspace/src" },
    });
  });

  test.each(["Create a.txt containing b", "Run ls", "List files", "Read a.txt", "Create a hello world app"])(
    "no tool that is not offered: %s",
    (prompt) => {
      const step = ruleStep(toConversation({ ...engineBody(prompt), tools: [] }));
      expect(step.tool).toBeUndefined();
      expect(step.text).toMatch(/the (?:Write|Bash|Read) tool .* does not offer it/);
    },
  );
});

describe("the report says what tools really answered", () => {
  const write = { file_path: "/workspace/hello.js", content: 'console.log("Hello, world!");\n' };
  const written = exchange("Write", write, "File created successfully at: /workspace/hello.js");
  const unread = "<tool_use_error>File has not been read yet. Read it first before writing to it.</tool_use_error>";
  const table: [name: string, step: Step, expected: RegExp[]][] = [
    [
      "hello world ran",
      answer("Create a hello world app", ...written, ...exchange("Bash", { command: "node hello.js" }, "Hello, moon!")),
      [/printed:\n\n```\nHello, moon!\n```/],
    ],
    [
      "hello world without node",
      answer(
        "Create a hello world app",
        ...written,
        ...exchange("Bash", {}, "Exit code 127\nnode: command not found", true),
      ),
      [/hello\.js is written/, /failed/, /command not found/],
    ],
    [
      "a file was created",
      answer("Create hello.js containing x", ...written),
      [/^I created hello\.js\. It contains:\n\n```\nx\n```$/],
    ],
    [
      "a command ran",
      answer("Run echo hi", ...exchange("Bash", {}, "hi")),
      [/I ran `echo hi`\. It printed:\n\n```\nhi\n```/],
    ],
    [
      "a command printed nothing",
      answer("Run true", ...exchange("Bash", {}, "(Bash completed with no output)")),
      [/^I ran `true`\. It printed nothing\.$/],
    ],
    [
      "a command failed",
      answer("Run false", ...exchange("Bash", {}, "Exit code 1", true)),
      [/the Bash tool failed/, /Exit code 1/],
    ],
    ["a command printed a fence", answer("Run cat a.md", ...exchange("Bash", {}, "```js\n1\n```")), [/~~~~\n```js/]],
    [
      "files were listed",
      answer("List files", ...exchange("Bash", {}, "a.txt\nb.txt")),
      [/In the working directory:\n\n```\na\.txt\nb\.txt/],
    ],
    [
      "a file was read",
      answer("Read a.txt", ...exchange("Read", {}, "1\tone\n     2→two")),
      [/a\.txt contains:\n\n```\none\ntwo\n```/],
    ],
    [
      "a file is empty",
      answer("Read a.txt", ...exchange("Read", {}, "<system-reminder>Warning: the file is empty.</system-reminder>")),
      [/a\.txt is empty/],
    ],
    [
      "a file is missing",
      answer("Read a.txt", ...exchange("Read", {}, "File does not exist.", true)),
      [/failed/, /File does not exist/],
    ],
    [
      "no result came back",
      answer("Run ls", { role: "assistant", content: [{ type: "tool_use", id: "t", name: "Bash", input: {} }] }),
      [/no result of the Bash tool came back/],
    ],
    [
      "a person declined",
      answer(
        "Run ls",
        ...exchange(
          "Bash",
          {},
          "The user doesn't want to proceed with this tool use. The tool use was rejected.",
          true,
        ),
      ),
      [/was declined/],
    ],
  ];
  test.each(table)("%s", (_name, step, expected) => {
    expect(step.tool).toBeUndefined();
    for (const pattern of expected) expect(step.text).toMatch(pattern);
    expect(step.text).not.toMatch(/bypassPermissions/);
  });

  test("an existing file is read first, then replaced", () => {
    const path = { file_path: "/workspace/a.txt" };
    const refused = exchange("Write", { ...path, content: "b" }, unread, true);
    const read = exchange("Read", path, "1\told");
    expect(answer("Create a.txt containing b", ...refused)).toMatchObject({ tool: "Read", input: path });
    expect(answer("Create a.txt containing b", ...refused, ...read)).toMatchObject({ tool: "Write" });
    const again = exchange("Write", { ...path, content: "b", again: true }, unread, true);
    expect(answer("Create a.txt containing b", ...refused, ...read, ...again)).toMatchObject({
      text: expect.stringContaining("failed"),
    });
  });
});

describe("a denial is stated plainly, with the remedy", () => {
  test.each([
    "This command requires approval",
    "This Bash command contains multiple operations. The following part requires approval: exit 3",
    "Claude requested permissions to write to /etc/x.txt, but you haven't granted it yet.",
    "rm in '/workspace/zz' needs approval. The path is inside the working directories for this session ('/workspace').",
    "Permission to use Bash has been denied because Claude Code is running in don't ask mode. IMPORTANT: You *may* attempt",
    "Cannot write to /workspace/q.txt while in plan mode.",
    "Auto mode is unavailable: its safety check does not run for this session, so Bash was not run.",
  ])("%s", (said) => {
    for (const [prompt, tool] of [
      ["Run rm x", "Bash"],
      ["Create x.txt containing x", "Write"],
    ] as const) {
      const step = answer(prompt, ...exchange(tool, {}, said, true));
      expect(step.tool).toBeUndefined();
      expect(step.text).toMatch(/^I was not allowed to (run|write) /);
      expect(step.text).toContain('"permissionMode":"bypassPermissions"');
      expect(step.text).toContain("GANTRY_PERMISSION_MODE=bypassPermissions");
    }
  });

  test("a command that printed such words was not denied", () => {
    expect(
      answer("Run cat x", ...exchange("Bash", {}, "Exit code 1\ncat: x: This command requires approval", true)).text,
    ).not.toContain("bypassPermissions");
    expect(answer("Run cat x", ...exchange("Bash", {}, "This command requires approval")).text).not.toContain(
      "bypassPermissions",
    );
  });
});

describe("memory", () => {
  const history = [said("Noted."), asked("The sky is green"), said("ok")];
  test.each([
    ["What did I ask before?", /1\. My name is Ada Lovelace\n2\. The sky is green$/],
    ["What did I say?", /2\. The sky is green/],
    ["Do you remember what I told you?", /1\. My name/],
    ["What was my first message?", /1\. My name/],
    ["What is my name?", /^Your name is Ada Lovelace\./],
    ["what's my favourite colour?", /2\. The sky is green/],
    ["My name is Bob", /^Noted\./],
    ["Remember the word pineapple", /^Noted\./],
  ])("%s", (prompt, expected) => {
    expect(answer("My name is Ada Lovelace", ...history, asked(prompt)).text).toMatch(expected);
  });

  test("there was no earlier prompt", () => {
    expect(answer("What did I say before?").text).toMatch(/first message/);
  });
});

describe("anything else", () => {
  test.each(["Tell me a joke", "", `run ${"x".repeat(20_000)}`])(
    "says what it is and how to get a real model: %#",
    (prompt) => {
      const text = answer(prompt).text ?? "";
      expect(text).toContain("scripted demonstration model");
      for (const name of ["ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY"])
        expect(text).toContain(name);
      for (const rule of RULES) expect(text).toContain(rule.example);
    },
  );
});

test("each rule answers its own example, and no rule before it does", () => {
  for (const [index, rule] of RULES.entries()) {
    const conversation = toConversation(engineBody(rule.example));
    expect(RULES.findIndex((each) => each.next(conversation) !== null)).toBe(index);
  }
});
