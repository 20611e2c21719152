import { describe, expect, test } from "vitest";
import { summaryStep, titleStep } from "./chores.ts";
import type { Conversation } from "./conversation.ts";
import { toConversation } from "./conversation.ts";
import { engineBody, exchange, scripted } from "./testing/calls.ts";

const user = (...texts: string[]): unknown => ({
  role: "user",
  content: texts.map((text) => ({ type: "text", text })),
});
const assistant = (text: string): unknown => ({ role: "assistant", content: [{ type: "text", text }] });

describe("the prompt", () => {
  const table: [name: string, more: unknown[], expected: Partial<Conversation>][] = [
    ["a first prompt", [], { prompt: "first", replies: 0, earlierPrompts: [], unfinished: true }],
    [
      "a second prompt",
      [assistant("one"), user("second")],
      { prompt: "second", replies: 0, earlierPrompts: ["first"] },
    ],
    ["a tool call", exchange("Bash", { command: "ls" }, "a.txt"), { prompt: "first", replies: 1, unfinished: true }],
    [
      "an answer cut by its token limit",
      [assistant("one"), user("Output token limit hit. Resume directly — no apology.")],
      { prompt: "first", replies: 1 },
    ],
    [
      "a broken stream",
      [assistant("on"), user("Your response above was cut off mid-stream. Resume directly.")],
      { prompt: "first", replies: 1 },
    ],
    [
      "an interrupted run",
      [user("[Request interrupted by user]"), assistant("No response requested."), user("second")],
      { prompt: "second", replies: 0 },
    ],
    [
      "a prompt after a crash",
      [
        ...exchange("Bash", { command: "sleep 9" }, "[Tool call interrupted]", true),
        assistant("No response requested."),
        user("second"),
      ],
      { prompt: "second", replies: 0, outcomes: [], earlierPrompts: ["first"] },
    ],
    [
      "a run resumed after a crash",
      [assistant("No response requested."), user("Continue from where you left off.")],
      { prompt: "first", replies: 0 },
    ],
    [
      "a notification",
      [assistant("one"), user("<task-notification>done</task-notification>")],
      { prompt: "first", replies: 1 },
    ],
    [
      "a reminder",
      [assistant("one"), user("<system-reminder>say <b>\nmore</system-reminder>")],
      { prompt: "first", replies: 1 },
    ],
    [
      "a slash command before the prompt",
      [
        user(
          "<command-name>/compact</command-name>\n <command-message>compact</command-message>",
          "<local-command-stdout>ok</local-command-stdout>",
          "second",
        ),
      ],
      { prompt: "second", parts: ["second"] },
    ],
    [
      "the engine's text beside a tool result",
      [
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "Skill", input: {} }] },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "t", content: "ok" },
            { type: "text", text: "Base directory for this skill: /x" },
          ],
        },
      ],
      { prompt: "first", replies: 1 },
    ],
    [
      "a prompt after an interruption in the same message",
      [
        { role: "assistant", content: [{ type: "tool_use", id: "t", name: "Bash", input: {} }] },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "t", content: "no", is_error: true },
            { type: "text", text: "[Request interrupted by user for tool use]" },
            { type: "text", text: "second" },
          ],
        },
      ],
      { prompt: "second", replies: 0, earlierPrompts: ["first"] },
    ],
  ];
  test.each(table)("%s", (_name, more, expected) => {
    expect(toConversation(engineBody("first", ...more))).toMatchObject({ purpose: "prompt", ...expected });
  });

  test("a message that is a plain string", () => {
    expect(toConversation({ model: "m", messages: [{ role: "user", content: "hi" }] })).toMatchObject({
      prompt: "hi",
      workingDirectory: null,
    });
  });

  test("messages of unknown shapes are skipped", () => {
    const messages = [
      null,
      7,
      "x",
      {},
      { role: "user" },
      { role: "user", content: [null, { type: "text" }, { type: "image" }] },
      { role: "alien", content: 1 },
    ];
    expect(toConversation({ model: "m", messages, tools: [null, { name: 1 }], system: 7 })).toMatchObject({
      prompt: "",
      replies: 0,
    });
  });
});

test("tool results without reminders", () => {
  const body = engineBody(
    "first",
    ...exchange("Bash", { command: "ls" }, [{ type: "text", text: "a.txt<system-reminder>x</system-reminder>" }]),
    ...exchange("Read", {}, "File does not exist.", true),
  );
  expect(toConversation(body).outcomes).toEqual([
    { name: "Bash", input: { command: "ls" }, output: "a.txt", isError: false },
    { name: "Read", input: {}, output: "File does not exist.", isError: true },
  ]);
});

describe("the working directory", () => {
  test.each([
    ["an environment message", {}, "/workspace"],
    [
      "the system prompt",
      { system: "<env>\nWorking directory: /srv/my project\n</env>", messages: [user("hi")] },
      "/srv/my project",
    ],
    [
      "a reminder",
      { messages: [user("<system-reminder>\n - Primary working directory: /a\n</system-reminder>", "hi")] },
      "/a",
    ],
    [
      "the last environment message",
      {
        messages: [
          { role: "system", content: "Working directory: /old" },
          user("hi"),
          { role: "system", content: [{ type: "text", text: "x\n - Primary working directory: /new \ny" }] },
        ],
      },
      "/new",
    ],
    ["never the person's own words", { system: "", messages: [user("Primary working directory: /etc")] }, null],
  ])("%s", (_name, overrides, expected) => {
    expect(toConversation({ ...engineBody("hi"), ...overrides }).workingDirectory).toBe(expected);
  });
});

test("a title is made of the prompt, without scripts", () => {
  const body = {
    model: "m",
    system: [{ type: "text", text: "You are naming a coding session so the user can pick it out." }],
    messages: [user(`<session>\nFix it ${scripted({ fail: { status: 500 } })}\n</session>\n\nWrite the title.`)],
  };
  const conversation = toConversation(body);
  expect(conversation.purpose).toBe("title");
  expect(titleStep(conversation)).toEqual({ text: '{"title":"Fix it Go on. (a script)"}' });
});

describe("a compaction", () => {
  const request = user(
    "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is to create a detailed summary",
  );
  /** What the engine makes of a summary. */
  const continued = (text: string): unknown => ({
    role: "user",
    content: `This session is being continued from a previous conversation that ran out of context.\n\nSummary:\n${/<summary>([\s\S]*)<\/summary>/.exec(text)?.[1]}\nGo on.`,
  });
  const summaryOf = (...more: unknown[]): string => {
    const conversation = toConversation(engineBody("first", ...more, request));
    expect(conversation.purpose).toBe("summary");
    return summaryStep(conversation).text ?? "";
  };

  test("keeps prompts for later", () => {
    const summary = summaryOf(assistant("one"), user('second\n"line"'), assistant("two"));
    expect(summary).toContain("<summary>");
    const after = toConversation({ model: "m", messages: [continued(summary), user("third")] });
    expect(after).toMatchObject({ prompt: "third", earlierPrompts: ["first", 'second\n"line"'], replies: 0 });
  });

  test("twice", () => {
    const once = continued(summaryOf(assistant("one")));
    const again = toConversation({ model: "m", messages: [once, user("second"), assistant("two"), request] });
    const after = toConversation({ model: "m", messages: [continued(summaryStep(again).text ?? ""), user("third")] });
    expect(after.earlierPrompts).toEqual(["first", "second"]);
  });

  test("during a run: the prompt continues at the right step, with and without the messages that the engine keeps", () => {
    const first = exchange("Bash", { command: "echo 1" }, "1");
    const second = exchange("Bash", { command: "echo 22" }, "22");
    const third = exchange("Bash", { command: "echo 333" }, "333");
    const head = continued(summaryOf(...first, ...second));
    const at = (...more: unknown[]): Conversation => toConversation({ model: "m", messages: [head, ...more] });
    expect(at()).toMatchObject({ prompt: "first", replies: 2, earlierPrompts: [] });
    expect(at(...second)).toMatchObject({ prompt: "first", replies: 2 });
    expect(at(...first, ...second, ...third)).toMatchObject({ prompt: "first", replies: 3 });
    expect(at(...second, ...third, assistant("done"), user("next"))).toMatchObject({
      prompt: "next",
      replies: 0,
      earlierPrompts: ["first"],
    });
  });

  test("before the prompt that caused it, which also follows the summary", () => {
    const head = continued(summaryOf(assistant("one"), user("second")));
    expect(toConversation({ model: "m", messages: [head, user("second")] })).toMatchObject({
      prompt: "second",
      replies: 0,
      earlierPrompts: ["first"],
    });
  });
});

test("hostile repetition is handled quickly", () => {
  const texts = [
    "<system-reminder>".repeat(60_000),
    `working directory:${" a".repeat(400_000)}`,
    "<<script[".repeat(100_000),
    " ".repeat(1_000_000),
  ];
  const began = performance.now();
  for (const text of texts)
    toConversation({ model: "m", system: text, messages: [{ role: "system", content: text }, user(text)] });
  expect(performance.now() - began).toBeLessThan(1_000);
});
