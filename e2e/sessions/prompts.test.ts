import type Anthropic from "@anthropic-ai/sdk";
import { toFile } from "@anthropic-ai/sdk";
import { mkdtempSync, readFileSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";

/** What a prompt may hold, what is asked of people, and where sessions begin. */

type Block = { type: string; text?: string; source?: Record<string, string>; title?: string; context?: string };
type ModelRequest = { messages: { role: string; content: string | Block[] }[]; tools?: { name: string }[] };

let gantry: Gantry;
let client: Anthropic;
let environment_id: string;
let folder: string;
let upstream: Server;
/** What the model was asked, in Anthropic's words. */
const asked: ModelRequest[] = [];

beforeAll(async () => {
  upstream = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      asked.push(JSON.parse(Buffer.concat(chunks).toString()) as ModelRequest);
      response.writeHead(200, { "content-type": "text/event-stream" });
      const message = { id: "msg_1", type: "message", role: "assistant", model: "m", content: [] };
      const usage = { input_tokens: 1, output_tokens: 1 };
      const events: [string, object][] = [
        ["message_start", { message: { ...message, stop_reason: null, stop_sequence: null, usage } }],
        ["content_block_start", { index: 0, content_block: { type: "text", text: "" } }],
        ["content_block_delta", { index: 0, delta: { type: "text_delta", text: "seen" } }],
        ["content_block_stop", { index: 0 }],
        ["message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage }],
        ["message_stop", {}],
      ];
      for (const [type, data] of events)
        response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
      response.end();
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  folder = mkdtempSync(join(tmpdir(), "gantry-prompts-"));
  const config = join(folder, "routes.yaml");
  const base = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  writeFileSync(
    config,
    `model_list:\n${["seen/lean", "claude-seen"].map((name) => `  - model_name: ${name}\n    litellm_params:\n      model: anthropic/claude-sonnet-5\n      api_base: ${base}\n      api_key: x\n`).join("")}`,
  );
  gantry = await Gantry.start({ LITELLM_CONFIG: config, MODEL: "demo/scripted" });
  client = clientOf(gantry);
  environment_id = (await client.beta.environments.create({ name: "here" })).id;
});
afterAll(async () => {
  await gantry.remove();
  upstream.close();
  rmSync(folder, { recursive: true });
});

const post = async (path: string, body: unknown) => {
  const response = await gantry.post(path, body);
  return { status: response.status, body: (await response.json()) as Record<string, never> };
};
const create = async (body: Record<string, unknown>) => {
  const { status, body: session } = await post("/v1/sessions", body);
  expect([status, session]).toEqual([200, expect.anything()]);
  return session as unknown as Anthropic.Beta.Sessions.BetaManagedAgentsSession;
};
const send = (id: string, ...events: Record<string, unknown>[]) => post(`/v1/sessions/${id}/events`, { events });
const text = (value: string) => ({ type: "text", text: value });
const ended = (id: string, runs = 1) =>
  gantry.untilLog(id, (log) => log.filter((event) => event.type === "run.ended").length >= runs, "the end of the run");
/** Blocks of the last request, without what the engine adds. */
const lastBlocks = () =>
  (asked.at(-1)?.messages ?? [])
    .filter(({ role }) => role === "user")
    .flatMap(({ content }) => (typeof content === "string" ? [text(content) as Block] : content))
    .filter((block) => !block.text?.startsWith("<system-reminder>") && !block.text?.startsWith("[Image: source"));

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF = Buffer.from("%PDF-1.1\ntrailer<</Root 1 0 R>>").toString("base64");

describe("the blocks of a prompt", () => {
  it.each(["seen/lean", "claude-seen"])("reach %s as they are, uploaded files with what they hold", async (model) => {
    const image = await client.beta.files.upload({ file: await toFile(Buffer.from(PNG, "base64"), "a.png") });
    const csv = await client.beta.files.upload({ file: await toFile(Buffer.from("a,b\n"), "a.csv") });
    const pdf = await client.beta.files.upload({ file: await toFile(Buffer.from(PDF, "base64"), "a.pdf") });
    const content: Anthropic.Beta.Sessions.BetaManagedAgentsUserMessageEventParams["content"] = [
      { type: "text", text: "look" },
      { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } },
      { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
      { type: "image", source: { type: "file", file_id: image.id } },
      {
        type: "document",
        title: "T",
        context: "C",
        source: { type: "base64", media_type: "application/pdf", data: PDF },
      },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" } },
      { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } },
      { type: "document", source: { type: "file", file_id: pdf.id } },
      { type: "document", title: "table", source: { type: "file", file_id: csv.id } },
      { type: "redacted" },
    ];
    const session = await create({ agent: { type: "inline", model }, environment_id });
    await client.beta.sessions.events.send(session.id, { events: [{ type: "user.message", content }] });
    const log = await ended(session.id);
    expect(log.find((event) => event.type === "run.ended")).toMatchObject({ outcome: "succeeded", result: "seen" });
    // The log has what was sent, not what the files hold.
    expect(log.find((event) => event.type === "user.message")).toMatchObject({ content });
    const blocks = lastBlocks().map(({ type, source, title, context, text: said }) => ({
      type,
      ...(source ? { source: { ...source } } : {}),
      ...(title ? { title } : {}),
      ...(context ? { context } : {}),
      ...(said ? { text: said.trimEnd() } : {}),
    }));
    const png = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
    const document = { type: "document", source: { type: "base64", media_type: "application/pdf", data: PDF } };
    expect(blocks).toEqual([
      text("look"),
      png,
      { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
      png,
      { ...document, title: "T", context: "C" },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" } },
      { type: "document", source: { type: "url", url: "https://example.com/a.pdf" } },
      document,
      { type: "document", title: "table", source: { type: "text", media_type: "text/plain", data: "a,b\n" } },
      text("[Something was taken out here.]"),
    ]);
  });

  it.each([
    ["an unknown block", { type: "video" }, "events[0].content[0].type"],
    ["an unknown field", { type: "text", text: "x", cache: 1 }, "events[0].content[0].cache"],
    [
      "what is no base64",
      { type: "image", source: { type: "base64", media_type: "image/png", data: "%%%" } },
      "events[0].content[0].source.data",
    ],
    [
      "another type of image",
      { type: "image", source: { type: "base64", media_type: "image/tiff", data: PNG } },
      "events[0].content[0].source.media_type",
    ],
    [
      "no web address",
      { type: "document", source: { type: "url", url: "file:///etc/passwd" } },
      "events[0].content[0].source.url",
    ],
    [
      "an unknown file",
      { type: "document", source: { type: "file", file_id: "file_x" } },
      "events[0].content[0].source.file_id",
    ],
  ])("refuse %s", async (_name, block, field) => {
    const session = await create({});
    const { status, body } = await send(session.id, { type: "user.message", content: [block] });
    expect([status, (body as { error?: { param?: string } }).error?.param]).toEqual([400, field]);
  });

  it("refuse a file that is no image, and one of another account", async () => {
    const file = await client.beta.files.upload({ file: await toFile(Buffer.from("x"), "x.txt") });
    const session = await create({});
    const content = [{ type: "image", source: { type: "file", file_id: file.id } }];
    expect((await send(session.id, { type: "user.message", content })).body).toMatchObject({
      error: { message: expect.stringContaining("the file is text/plain") as string },
    });
  });
});

describe("system.message", () => {
  it.each(["seen/lean", "claude-seen"])("goes to %s with its prompt, as the operator's word", async (model) => {
    const session = await create({ agent: { type: "inline", model }, environment_id });
    const sent = await client.beta.sessions.events.send(session.id, {
      events: [
        { type: "user.message", content: [{ type: "text", text: "hello" }] },
        { type: "system.message", content: [{ type: "text", text: "The user is 007." }] },
      ],
    });
    expect(sent.data?.map((event) => event.type)).toEqual(["user.message", "system.message"]);
    const log = await ended(session.id);
    expect(log.map((event) => event.type).slice(0, 3)).toEqual(["run.queued", "user.message", "system.message"]);
    expect(log[2]).toMatchObject({
      id: (sent.data?.[1] as { id?: string } | undefined)?.id,
      content: [text("The user is 007.")],
    });
    const request = JSON.stringify(asked.at(-1)?.messages);
    expect(request).toContain("The user is 007.");
    expect(lastBlocks().map((block) => block.text)).toEqual(["hello"]);
    await send(session.id, { type: "user.message", content: [text("again")] });
    await ended(session.id, 2);
    expect(JSON.stringify(asked.at(-1)?.messages).match(/The user is 007/g)).toHaveLength(1);
  });

  it("reaches an engine that was started without: it makes way for one that asks, which then stays", async () => {
    const { sessionId } = await gantry.run({ prompt: "remember me", model: "claude-seen" });
    const engine = (): number | undefined => gantry.processes(sessionId).engine[0];
    const say = async (what: string, ...beside: Record<string, unknown>[]): Promise<string> => {
      const runs = (await gantry.log(sessionId)).filter((event) => event.type === "run.queued").length;
      await send(sessionId, { type: "user.message", content: [text(what)] }, ...beside);
      await ended(sessionId, runs + 1);
      return JSON.stringify(asked.at(-1)?.messages);
    };
    await say("are you there?");
    const before = engine();
    const heard = await say("and now?", { type: "system.message", content: [text("The user is 008.")] });
    for (const said of ["remember me", "and now?", "The user is 008."]) expect(heard).toContain(said);
    const told = engine();
    expect(told).not.toBe(before);
    expect((await say("goodbye")).match(/The user is 008/g)).toHaveLength(1);
    expect(engine()).toBe(told);
  });

  it.each([
    ["alone", [{ type: "system.message", content: [text("x")] }], "events[0]"],
    [
      "before its prompt",
      [
        { type: "system.message", content: [text("x")] },
        { type: "user.message", content: [text("x")] },
      ],
      "events[0]",
    ],
    [
      "in the middle",
      [
        { type: "user.message", content: [text("x")] },
        { type: "system.message", content: [text("x")] },
        { type: "user.interrupt" },
      ],
      "events[1]",
    ],
    [
      "with an image",
      [
        { type: "user.message", content: [text("x")] },
        { type: "system.message", content: [{ type: "image" }] },
      ],
      "events[1].content[0].type",
    ],
  ])("is refused %s, and nothing is done", async (_name, events, field) => {
    const session = await create({});
    const { status, body } = await send(session.id, ...events);
    expect([status, (body as { error?: { param?: string } }).error?.param]).toEqual([400, field]);
    expect(await gantry.log(session.id)).toEqual([]);
  });
});

const QUESTION = {
  question: "Which color?",
  header: "Color",
  multiSelect: true,
  options: [
    { label: "Red", description: "r" },
    { label: "Blue", description: "b" },
  ],
};
const approvals = async (id: string) => {
  const { data } = (await (await gantry.fetch("/v1/approvals")).json()) as { data: Record<string, unknown>[] };
  return data.filter((each) => each["session_id"] === id);
};
const TOOLS = [{ type: "agent_toolset_20260401" }];

describe("AskUserQuestion", () => {
  const ask = { tool: "AskUserQuestion", input: { questions: [QUESTION] } };
  const start = async () => {
    const session = await create({
      agent: { type: "inline", model: "demo/scripted", tools: TOOLS },
      environment_id,
      ask_user_question: true,
      initial_events: [{ type: "user.message", content: [text(script(ask, { text: "done" }))] }],
    });
    await gantry.untilLog(
      session.id,
      (log) => log.some((event) => event.type === "session.status_idle"),
      "the question",
    );
    const [call] = await approvals(session.id);
    return { id: session.id, call: call ?? {} };
  };
  const confirm = (call: Record<string, unknown>, more: Record<string, unknown>) => ({
    type: "user.tool_confirmation",
    tool_use_id: call["tool_use_id"],
    ...more,
  });

  it("waits with requires_action, is listed with its questions, and goes on with the answers", async () => {
    const { id, call } = await start();
    expect(call).toMatchObject({
      kind: "question",
      tool: "AskUserQuestion",
      questions: [{ question: "Which color?" }],
    });
    const log = await gantry.log(id);
    expect(log.at(-1)).toMatchObject({ stop_reason: { type: "requires_action", event_ids: [call["tool_use_id"]] } });
    expect((await client.beta.sessions.retrieve(id)).status).toBe("idle");
    for (const [wrong, field] of [
      [{ result: "allow" }, "events[0].answers"],
      [{ result: "allow", answers: { "Which size?": "L" } }, "events[0].answers"],
      [{ result: "deny", answers: { "Which color?": "Red" } }, "events[0].answers"],
      [{ result: "allow", answers: { "Which color?": "Red" }, permission_mode: "plan" }, "events[0].permission_mode"],
    ] as const) {
      const { status, body } = await send(id, confirm(call, wrong));
      expect([status, (body as { error?: { param?: string } }).error?.param]).toEqual([400, field]);
    }
    const { status } = await send(id, confirm(call, { result: "allow", answers: { "Which color?": ["Red", "Blue"] } }));
    expect(status).toBe(200);
    const events = await ended(id);
    expect(events.find((event) => event.type === "agent.tool_result")).toMatchObject({
      is_error: false,
      content: [{ text: expect.stringContaining('"Which color?"="Red, Blue"') as string }],
    });
    expect(events.find((event) => event.type === "user.tool_confirmation")).toMatchObject({
      answers: { "Which color?": "Red, Blue" },
    });
    expect(await approvals(id)).toEqual([]);
  });

  it("hears of a denial, and is missing unless the session asks for it", async () => {
    const { id, call } = await start();
    await send(id, confirm(call, { result: "deny", deny_message: "Decide yourself." }));
    expect((await ended(id)).find((event) => event.type === "agent.tool_result")).toMatchObject({
      is_error: true,
      content: [{ text: expect.stringContaining("Decide yourself.") as string }],
    });
    const without = await create({
      agent: { type: "inline", model: "demo/scripted", tools: TOOLS },
      initial_events: [{ type: "user.message", content: [text(script(ask, { text: "done" }))] }],
    });
    const events = await ended(without.id);
    expect(events.find((event) => event.type === "agent.tool_result")).toMatchObject({ is_error: true });
    expect((await post("/v1/sessions", { ask_user_question: true })).status).toBe(400);
  });
});

describe("ExitPlanMode", () => {
  const plan = { tool: "ExitPlanMode", input: { plan: "1. write a.txt" } };
  const write = { tool: "Write", input: { file_path: "a.txt", content: "hi" } };
  const start = async (...steps: Record<string, unknown>[]) => {
    const session = await create({
      agent: { type: "inline", model: "demo/scripted", tools: TOOLS },
      permission_mode: "plan",
      initial_events: [{ type: "user.message", content: [text(script(...steps, { text: "done" }))] }],
    });
    await until(async () => (await approvals(session.id)).length > 0, "the plan");
    const [call] = await approvals(session.id);
    return { id: session.id, call: call ?? {} };
  };

  it("waits with its plan; allowed, the run goes on in the mode that was said, and the next one plans again", async () => {
    const { id, call } = await start(plan, write);
    expect(call).toMatchObject({ kind: "plan", tool: "ExitPlanMode", plan: "1. write a.txt" });
    expect(existsSync(join(gantry.workspace(id), "a.txt"))).toBe(false);
    const { status } = await send(id, {
      type: "user.tool_confirmation",
      tool_use_id: call["tool_use_id"],
      result: "allow",
      permission_mode: "acceptEdits",
    });
    expect(status).toBe(200);
    await ended(id);
    expect(readFileSync(join(gantry.workspace(id), "a.txt"), "utf8")).toBe("hi");
    await send(id, { type: "user.message", content: [text(script(plan, { text: "done" }))] });
    await until(async () => (await approvals(id)).length > 0, "the second plan");
  });

  it("hears of a denial and goes on planning", async () => {
    const { id, call } = await start(plan);
    await send(id, {
      type: "user.tool_confirmation",
      tool_use_id: call["tool_use_id"],
      result: "deny",
      deny_message: "Also b.txt.",
    });
    expect((await ended(id)).find((event) => event.type === "agent.tool_result")).toMatchObject({
      is_error: true,
      content: [{ text: expect.stringContaining("Also b.txt.") as string }],
    });
  });
});

describe("what a session is made with", () => {
  it("is an agent by id in three ways, one of its own, or none", async () => {
    const agent = await client.beta.agents.create({ name: "Saved", model: "demo/scripted", system: "one" });
    for (const wanted of [agent.id, { id: agent.id }, { type: "agent", id: agent.id, version: 1 }])
      expect((await create({ agent: wanted })).agent).toMatchObject({ id: agent.id, name: "Saved", version: 1 });
    const inline = await create({ agent: { type: "inline", model: "demo/scripted", system: "mine", name: "Mine" } });
    expect(inline.agent).toMatchObject({ id: "", name: "Mine", system: "mine", model: { id: "demo/scripted" } });
    expect((await create({})).agent).toMatchObject({ id: "", name: "Claude Code" });
    expect((await create({ model: "seen/lean" })).agent.model.id).toBe("seen/lean");
  });

  it.each([
    ["a budget", { budget: { type: "limit" } }, "budget"],
    ["an outcome", { initial_events: [{ type: "user.define_outcome", description: "x" }] }, "initial_events[0].type"],
    ["a memory store", { resources: [{ type: "memory_store", memory_store_id: "x" }] }, "resources[0].type"],
    ["an inline agent without a model", { agent: { type: "inline" } }, "agent.model"],
    ["an unknown model", { model: "nobody/knows" }, "model"],
    ["an unknown mode", { permission_mode: "root" }, "permission_mode"],
    ["an unknown template", { template: "tmpl_x" }, null],
    [
      "a bad first prompt",
      { initial_events: [{ type: "user.message", content: [{ type: "image", source: { type: "url", url: "x" } }] }] },
      "initial_events[0].content[0].source.url",
    ],
  ])("is refused by name: %s", async (_name, body, field) => {
    const { status, body: answer } = await post("/v1/sessions", body);
    const param = (answer as { error?: { param?: string } }).error?.param;
    expect([status, param]).toEqual(field === null ? [404, undefined] : [400, field]);
  });
});

describe("a template", () => {
  it("is where sessions begin; what a request says itself counts more", async () => {
    const file = await client.beta.files.upload({ file: await toFile(Buffer.from("shared"), "x.txt") });
    const made = await post("/v1/templates", {
      name: "Reviewer",
      agent: { type: "inline", model: "demo/scripted", tools: TOOLS },
      environment_id,
      resources: [{ type: "file", file_id: file.id, mount_path: "/workspace/x.txt" }],
      permission_mode: "plan",
      title: "From a template",
      metadata: { team: "a", kind: "review" },
    });
    expect(made).toMatchObject({ status: 200, body: { type: "template", name: "Reviewer", archived_at: null } });
    const template = String(made.body["id"]);
    const session = await create({
      template,
      title: "My own",
      metadata: { team: "b" },
      permission_mode: "acceptEdits",
    });
    expect(session).toMatchObject({
      title: "My own",
      environment_id,
      metadata: { team: "b", kind: "review" },
      resources: [{ file_id: file.id, mount_path: "/workspace/x.txt" }],
    });
    await send(session.id, {
      type: "user.message",
      content: [text(script({ tool: "Write", input: { file_path: "y.txt", content: "y" } }, { text: "done" }))],
    });
    const log = await ended(session.id);
    expect(log.find((event) => event.type === "run.started")).toMatchObject({ permission_mode: "acceptEdits" });
    expect(readFileSync(join(gantry.workspace(session.id), "x.txt"), "utf8")).toBe("shared");

    const updated = await post(`/v1/templates/${template}`, { title: null, metadata: { kind: null }, name: "Other" });
    expect(updated.body).toMatchObject({ name: "Other", metadata: { team: "a" } });
    expect(updated.body).not.toHaveProperty("title");
    expect((await create({ template })).title).toBe(null);
    await post(`/v1/templates/${template}/archive`, {});
    expect((await post("/v1/sessions", { template })).status).toBe(400);
    const listed = (await (await gantry.fetch("/v1/templates")).json()) as { data: unknown[] };
    expect(listed.data).toEqual([]);
    expect((await gantry.fetch(`/v1/templates/${template}`)).status).toBe(200);
    const audit = (await (await gantry.fetch("/v1/audit?limit=3")).json()) as {
      data: { action: string; target: string }[];
    };
    expect(audit.data.filter((entry) => entry.target === template).map((entry) => entry.action)).toEqual(
      ["template.archive", "template.update", "template.create"].filter((action) =>
        audit.data.some((entry) => entry.action === action),
      ),
    );
  });

  it.each([
    [
      "a credential",
      { resources: [{ type: "github_repository", url: "https://github.com/a/b", authorization_token: "x" }] },
      "resources[0].authorization_token",
    ],
    ["an unknown model", { model: "nobody/knows" }, "model"],
    ["prompts", { initial_events: [] }, "initial_events"],
  ])("refuses %s", async (_name, more, field) => {
    const { status, body } = await post("/v1/templates", { name: "x", ...more });
    expect([status, (body as { error?: { param?: string } }).error?.param]).toEqual([400, field]);
  });

  it("is of its account alone, and needs the scope", async () => {
    const made = await post("/v1/templates", { name: "mine" });
    const key = async (body: object) =>
      (await post("/v1/keys", { name: "k", ...body })).body["key"] as unknown as string;
    const stranger = await key({ scopes: ["admin"], account: "stranger" });
    const reader = await key({ scopes: ["sessions"] });
    const as = (secret: string, path: string, init: RequestInit = {}) =>
      fetch(gantry.url + path, { ...init, headers: { "x-api-key": secret } }).then((response) => response.status);
    const path = `/v1/templates/${String(made.body["id"])}`;
    expect(await as(stranger, path)).toBe(404);
    expect(
      await as(stranger, "/v1/sessions", { method: "POST", body: JSON.stringify({ template: made.body["id"] }) }),
    ).toBe(404);
    expect(await as(reader, path)).toBe(200);
    expect(await as(reader, path, { method: "POST", body: "{}" })).toBe(403);
  });
});
