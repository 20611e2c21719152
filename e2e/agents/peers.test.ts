import type Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { all, clientOf } from "../kit/anthropic.ts";
import type { SessionEvent as Event } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";

/** Agents that start and message other sessions of their account. */

let gantry: Gantry;
let client: Anthropic;
beforeAll(async () => {
  gantry = await Gantry.start();
  client = clientOf(gantry);
});
afterAll(() => gantry.remove());

const allow = { type: "always_allow" as const };

/** An agent that may use other sessions. */
async function coordinator(limits = "", policy: "always_allow" | "always_ask" = "always_allow") {
  return client.beta.agents.create({
    name: "Coordinator",
    model: "demo/scripted",
    mcp_servers: [{ type: "url", name: "sessions", url: `gantry:sessions${limits}` }],
    tools: [
      { type: "agent_toolset_20260401" },
      { type: "mcp_toolset", mcp_server_name: "sessions", default_config: { permission_policy: { type: policy } } },
    ],
  });
}

const worker = () =>
  client.beta.agents.create({
    name: "Worker",
    model: "demo/scripted",
    tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: allow } }],
  });

async function run(agent: string, ...steps: Record<string, unknown>[]): Promise<string> {
  const session = await client.beta.sessions.create({
    agent,
    environment_id: (await client.beta.environments.create({ name: "here" })).id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: script(...steps) }] }],
  });
  return session.id;
}

async function untilIdle(id: string, reason = "end_turn"): Promise<Event[]> {
  let events: Event[] = [];
  await until(async () => {
    events = await all(client.beta.sessions.events.list(id));
    const last = events.at(-1);
    return last?.type === "session.status_idle" && last.stop_reason.type === reason;
  }, `the session to be idle with ${reason}`);
  return events;
}

const start = (agent: string, steps: Record<string, unknown>[], more: Record<string, unknown> = {}) => ({
  tool: "mcp__sessions__start_session",
  input: { agent, message: script(...steps), ...more },
});
const call = (tool: string, input: Record<string, unknown>) => ({ tool: `mcp__sessions__${tool}`, input });

/** What the tools of sessions answered, in order. */
const answers = (events: Event[]): { text: string; isError: boolean }[] =>
  events.flatMap((event) =>
    event.type === "agent.mcp_tool_result"
      ? [
          {
            text: (event.content ?? []).map((block) => ("text" in block ? block.text : "")).join(""),
            isError: event.is_error === true,
          },
        ]
      : [],
  );
const childrenOf = async (id: string) =>
  (await all(client.beta.sessions.threads.list(id))).filter((thread) => thread.parent_thread_id !== null);
const sessionOf = (thread: string): string => thread.replace("sthr_", "sesn_");
const auditOf = async (target: string): Promise<{ action: string; key_id: string }[]> => {
  const { data } = (await (await gantry.fetch("/v1/audit?limit=100")).json()) as {
    data: { action: string; target: string; key_id: string }[];
  };
  return data.filter((entry) => entry.target === target).map(({ action, key_id }) => ({ action, key_id }));
};

describe("a coordinator", () => {
  it("starts a session of its account, waits for its answer, and messages it again", async () => {
    const [lead, hand] = await Promise.all([coordinator(), worker()]);
    const first = [{ tool: "Bash", input: { command: "echo made > it.txt" } }, { text: "it is made" }];
    const id = await run(lead.id, start(hand.id, first, { title: "Part one" }), { text: "thanks" });
    const events = await untilIdle(id);
    const [answer] = answers(events);
    expect(answer).toMatchObject({ isError: false, text: expect.stringContaining("it is made") });

    const [thread] = await childrenOf(id);
    if (!thread) throw new Error("no thread");
    const peer = sessionOf(thread.id);
    expect(thread).toMatchObject({ status: "idle", agent: { id: hand.id, name: "Worker" }, session_id: id });
    expect(thread.usage?.output_tokens).toBeGreaterThan(0);
    expect(await client.beta.sessions.retrieve(peer)).toMatchObject({ title: "Part one", agent: { id: hand.id } });
    expect(events.map((event) => event.type).filter((type) => type.includes("thread"))).toEqual([
      "session.thread_created",
      "session.thread_status_running",
      "agent.thread_message_sent",
      "agent.thread_message_received",
      "session.thread_status_idle",
    ]);
    expect(await auditOf(peer)).toEqual([
      { action: "session.message", key_id: id },
      { action: "session.create", key_id: id },
    ]);

    const more = script(call("message_session", { session: peer, message: script({ text: "and again" }) }), {
      text: "bye",
    });
    await client.beta.sessions.events.send(id, {
      events: [{ type: "user.message", content: [{ type: "text", text: more }] }],
    });
    await until(async () => answers(await all(client.beta.sessions.events.list(id))).length === 2, "a second answer");
    expect(answers(await untilIdle(id))[1]?.text).toContain("and again");
    expect(await childrenOf(id)).toHaveLength(1);
    const runs = (await (await gantry.fetch(`/v1/sessions/${peer}/runs`)).json()) as { data: { trigger: string }[] };
    expect(runs.data.map((each) => each.trigger)).toEqual(["session", "session"]);
  });

  it("need not wait, and may read what was said", async () => {
    const [lead, hand] = await Promise.all([coordinator(), worker()]);
    const id = await run(lead.id, start(hand.id, [{ text: "slowly done" }], { wait: false }), { text: "gone on" });
    const events = await untilIdle(id);
    expect(answers(events)[0]?.text).toContain("has begun");
    await until(async () => (await childrenOf(id))[0]?.status === "idle", "the other session to answer");
    const [thread] = await childrenOf(id);
    const inner = await all(client.beta.sessions.threads.events.list(thread?.id ?? "", { session_id: id }));
    expect(inner.map((event) => event.type)).toEqual([
      "session.thread_status_running",
      "agent.thread_message_received",
      "agent.thread_message_sent",
      "session.thread_status_idle",
    ]);
    const reader = await run(lead.id, call("read_session", { session: sessionOf(thread?.id ?? "") }), { text: "read" });
    expect(answers(await untilIdle(reader))[0]?.text).toMatch(/is idle[^]*slowly done/);
  });

  it("waits on through a restart of the Worker, and starts nothing twice", async () => {
    const [lead, hand] = await Promise.all([coordinator(), worker()]);
    const slow = [{ tool: "Bash", input: { command: "sleep 4" } }, { text: "slept" }];
    const id = await run(lead.id, start(hand.id, slow), { text: "thanks" });
    await until(async () => (await childrenOf(id)).length === 1, "the other session to begin");
    gantry.kill("workerd");
    const back = async (): Promise<boolean> => (await gantry.fetch("/health").catch(() => null))?.ok === true;
    await until(back, "the Worker to be back");
    const events = await untilIdle(id);
    expect(answers(events)[0]).toMatchObject({ isError: false, text: expect.stringContaining("slept") });
    expect(await childrenOf(id)).toHaveLength(1);
    expect(events.filter((event) => event.type === "agent.thread_message_sent")).toHaveLength(1);
    const peer = sessionOf((await childrenOf(id))[0]?.id ?? "");
    const log = await gantry.log(peer);
    expect(log.filter((event) => event.type === "user.message")).toHaveLength(1);
  });

  it("that is stopped stops what it waits for", async () => {
    const [lead, hand] = await Promise.all([coordinator(), worker()]);
    const id = await run(lead.id, start(hand.id, [{ tool: "Bash", input: { command: "tail -f /dev/null" } }]), {
      text: "x",
    });
    await until(async () => (await childrenOf(id))[0]?.status === "running", "the other session to run");
    const peer = sessionOf((await childrenOf(id))[0]?.id ?? "");
    await until(async () => (await gantry.log(peer)).some((event) => event.type === "agent.tool_use"), "it to work");
    await client.beta.sessions.events.send(id, { events: [{ type: "user.interrupt" }] });
    const log = await gantry.untilLog(peer, (events) => events.some((e) => e.type === "run.ended"), "it to be stopped");
    expect(log.find((event) => event.type === "run.ended")).toMatchObject({ outcome: "interrupted" });
  });

  it("asks for permission first if its policy says so", async () => {
    const [lead, hand] = await Promise.all([coordinator("", "always_ask"), worker()]);
    const id = await run(lead.id, start(hand.id, [{ text: "hello" }]), { text: "ok" });
    const waiting = await untilIdle(id, "requires_action");
    expect(await childrenOf(id)).toEqual([]);
    const last = waiting.at(-1);
    const [tool_use_id = ""] =
      last?.type === "session.status_idle" && last.stop_reason.type === "requires_action"
        ? last.stop_reason.event_ids
        : [];
    await client.beta.sessions.events.send(id, {
      events: [{ type: "user.tool_confirmation", tool_use_id, result: "allow" }],
    });
    expect(answers(await untilIdle(id))[0]).toMatchObject({ isError: false, text: expect.stringContaining("hello") });
  });
});

describe("limits", () => {
  const refusals = async (limits: string, steps: (hand: string, lead: string) => Record<string, unknown>[]) => {
    const [lead, hand] = await Promise.all([coordinator(limits), worker()]);
    return answers(await untilIdle(await run(lead.id, ...steps(hand.id, lead.id), { text: "end" })));
  };

  it("of the number of sessions hold", async () => {
    const [first, second] = await refusals("?max_sessions=1", (hand) => [
      start(hand, [{ text: "one" }]),
      start(hand, [{ text: "two" }]),
    ]);
    expect(first?.isError).toBe(false);
    expect(second).toEqual({ isError: true, text: expect.stringContaining("started 1 sessions") });
  });

  it("of depth hold", async () => {
    const [answer] = await refusals("?max_depth=1", (hand, lead) => [
      start(lead, [start(hand, [{ text: "x" }]), { text: "inner" }]),
    ]);
    expect(answer).toMatchObject({ isError: false, text: expect.stringContaining("inner") });
    const sessions = await client.beta.sessions.list({ limit: 1 });
    const inner = answers(await all(client.beta.sessions.events.list(sessions.data[0]?.id ?? "")));
    expect(inner[0]).toEqual({ isError: true, text: expect.stringContaining("may wait for each other") });
  });

  it.each([
    [
      "a session that does not exist",
      call("message_session", { session: `sesn_${"0".repeat(36)}`, message: "x" }),
      "no session",
    ],
    ["what is no session", call("read_session", { session: "x" }), "no session"],
    ["an agent that does not exist", call("start_session", { agent: "agent_x", message: "x" }), "not found"],
    ["a bad field", call("start_session", { agent: "agent_x", message: "" }), "message"],
  ])("refuse %s", async (_name, step, said) => {
    expect(await refusals("", () => [step])).toEqual([{ isError: true, text: expect.stringContaining(said) }]);
  });

  it("refuse a session that waits for the one that asks", async () => {
    const [lead, hand] = await Promise.all([coordinator(), worker()]);
    const idle = await run(lead.id, { text: "nothing" });
    await untilIdle(idle);
    // It is told to ask the one that waits for it.
    const back = script(call("message_session", { session: idle, message: "x" }), { text: "asked back" });
    const peer = await run(lead.id, { text: "nothing" });
    await untilIdle(peer);
    await client.beta.sessions.events.send(idle, {
      events: [
        {
          type: "user.message",
          content: [
            { type: "text", text: script(call("message_session", { session: peer, message: back }), { text: "e" }) },
          ],
        },
      ],
    });
    await until(async () => answers(await all(client.beta.sessions.events.list(idle))).length === 1, "an answer");
    const inner = answers(await all(client.beta.sessions.events.list(peer)));
    expect(inner).toEqual([{ isError: true, text: expect.stringContaining("waits for this one") }]);
    expect(hand.id).toMatch(/^agent_/);
  });

  it("keep agents without the tools from other sessions", async () => {
    const hand = await worker();
    const id = await run(hand.id, call("start_session", { agent: hand.id, message: "x" }), { text: "tried" });
    expect((await untilIdle(id)).find((event) => "is_error" in event && event.is_error)).toBeDefined();
    expect(await childrenOf(id)).toEqual([]);
  });

  it("are checked when the agent is stored", async () => {
    await expect(coordinator("?max_depth=99")).rejects.toMatchObject({ status: 400 });
    await expect(coordinator("?colour=red")).rejects.toMatchObject({ status: 400 });
  });
});
