import type Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { expect } from "vitest";
import { script } from "../kit/gantry.ts";
import { all } from "../kit/anthropic.ts";
import {
  NOBODY,
  isTheirs,
  makeAgent,
  makeEnvironment,
  makeSession,
  paged,
  prompt,
  refused,
  unknown,
  untilIdle,
} from "./context.ts";
import type { Check } from "./context.ts";

/** Sessions, their events and their threads. */

const NO_SESSION = `sesn_${NOBODY}`;

export const SESSIONS: Readonly<Record<string, Check>> = {
  "sessions.create": async ({ client }) => {
    const session = await makeSession(client, {
      title: "A title",
      metadata: { a: "b" },
      initial_events: [prompt({ text: "first" })],
    });
    expect(session).toMatchObject({ type: "session", title: "A title", metadata: { a: "b" }, archived_at: null });
    const events = await untilIdle(client, session.id);
    expect(events.some((event) => event.type === "agent.message")).toBe(true);
    const environment = await makeEnvironment(client);
    await unknown(() => client.beta.sessions.create({ agent: `agent_${NOBODY}`, environment_id: environment.id }));
    const agent = await makeAgent(client);
    await unknown(() => client.beta.sessions.create({ agent: agent.id, environment_id: `env_${NOBODY}` }));
  },
  "sessions.retrieve": async ({ client, stranger }) => {
    const session = await makeSession(client, { initial_events: [prompt({ text: "hi" })] });
    await untilIdle(client, session.id);
    const told = await client.beta.sessions.retrieve(session.id);
    expect(told).toMatchObject({ id: session.id, agent: session.agent, status: "idle" });
    expect(told.usage.output_tokens).toBeGreaterThan(0);
    expect(told.stats.active_seconds).toBeGreaterThan(0);
    await unknown(
      () => client.beta.sessions.retrieve(NO_SESSION),
      () => stranger.beta.sessions.retrieve(session.id),
    );
  },
  "sessions.update": async ({ client, stranger }) => {
    const session = await makeSession(client, { metadata: { a: "1", b: "2" } });
    const changed = await client.beta.sessions.update(session.id, { title: "new", metadata: { a: null, c: "3" } });
    expect(changed).toMatchObject({ title: "new", metadata: { b: "2", c: "3" } });
    expect((await client.beta.sessions.retrieve(session.id)).metadata).toEqual({ b: "2", c: "3" });
    await unknown(
      () => client.beta.sessions.update(NO_SESSION, { title: "x" }),
      () => stranger.beta.sessions.update(session.id, { title: "x" }),
    );
  },
  "sessions.list": async ({ client, stranger }) => {
    const agent = await makeAgent(client);
    const environment_id = (await makeEnvironment(client)).id;
    const make = () => client.beta.sessions.create({ agent: agent.id, environment_id });
    const made = [await make(), await make(), await make()];
    await client.beta.agents.update(agent.id, { name: "Second", version: 1 });
    const second = await make();
    const list = async (params: Anthropic.Beta.SessionListParams) =>
      (await all(client.beta.sessions.list({ agent_id: agent.id, limit: 2, ...params }))).map(({ id }) => id);
    const ids = [...made.map(({ id }) => id), second.id];
    expect(await list({ order: "asc" })).toEqual(ids);
    expect(await list({})).toEqual(ids.toReversed());
    expect(await list({ agent_version: 2 })).toEqual([second.id]);
    expect(await list({ "created_at[gt]": made[1]?.created_at ?? "" })).not.toContain(made[0]?.id);
    expect(await list({ "created_at[lte]": made[0]?.created_at ?? "" })).toContain(made[0]?.id);
    // Back from the second page to the first.
    const page = await client.beta.sessions.list({ agent_id: agent.id, limit: 2 });
    const next = await client.beta.sessions.list({ agent_id: agent.id, limit: 2, page: page.next_page });
    const back = await client.beta.sessions.list({ agent_id: agent.id, limit: 2, page: next.prev_page });
    expect(back.data.map(({ id }) => id)).toEqual(page.data.map(({ id }) => id));
    await client.beta.sessions.archive(second.id);
    expect(await list({})).not.toContain(second.id);
    expect(await list({ include_archived: true, statuses: ["terminated"] })).toEqual([second.id]);
    expect(await list({ statuses: ["running", "rescheduling"] })).toEqual([]);
    expect(await list({ statuses: ["idle"] })).toEqual(made.map(({ id }) => id).toReversed());
    expect(await all(stranger.beta.sessions.list({ agent_id: agent.id }))).toEqual([]);
    await paged(made, (limit) => client.beta.sessions.list({ limit }));
  },
  "sessions.delete": async ({ client, stranger }) => {
    const session = await makeSession(client);
    await unknown(() => stranger.beta.sessions.delete(session.id));
    expect(await client.beta.sessions.delete(session.id)).toEqual({ id: session.id, type: "session_deleted" });
    await unknown(
      () => client.beta.sessions.retrieve(session.id),
      () => client.beta.sessions.delete(session.id),
    );
  },
  "sessions.archive": async ({ client, stranger }) => {
    const session = await makeSession(client);
    await unknown(
      () => client.beta.sessions.archive(NO_SESSION),
      () => stranger.beta.sessions.archive(session.id),
    );
    expect(await client.beta.sessions.archive(session.id)).toMatchObject({ status: "terminated" });
    await refused(409, () => client.beta.sessions.events.send(session.id, { events: [prompt({ text: "x" })] }));
  },
  "sessions.events.list": async ({ client, stranger }) => {
    const session = await makeSession(client, { initial_events: [prompt({ text: "one" })] });
    const events = await untilIdle(client, session.id);
    const list = async (params: Anthropic.Beta.Sessions.EventListParams) =>
      (await all(client.beta.sessions.events.list(session.id, { limit: 2, ...params }))).filter(isTheirs);
    expect(await list({})).toEqual(events);
    expect(await list({ order: "desc" })).toEqual(events.toReversed());
    const messages = events.filter((event) => event.type === "agent.message" || event.type === "user.message");
    expect(await list({ types: ["agent.message", "user.message"] })).toEqual(messages);
    const at = events[2]?.processed_at ?? "";
    expect(await list({ "created_at[gte]": at })).toEqual(events.filter((event) => (event.processed_at ?? "") >= at));
    expect(await list({ "created_at[lt]": at })).toEqual(events.filter((event) => (event.processed_at ?? "") < at));
    await unknown(
      () => client.beta.sessions.events.list(NO_SESSION),
      () => stranger.beta.sessions.events.list(session.id),
    );
  },
  "sessions.events.send": async ({ client, stranger }) => {
    const session = await makeSession(client);
    const sent = await client.beta.sessions.events.send(session.id, { events: [prompt({ text: "answer" })] });
    expect(sent.data?.[0]).toMatchObject({ type: "user.message", id: expect.stringMatching(/^sevt_/) });
    const events = await untilIdle(client, session.id);
    expect(events.find((event) => event.type === "user.message")?.id).toBe(sent.data?.[0]?.id);
    await refused(400, () =>
      client.beta.sessions.events.send(session.id, {
        events: [{ type: "user.tool_confirmation", tool_use_id: "nothing", result: "allow" }],
      }),
    );
    await unknown(
      () => client.beta.sessions.events.send(NO_SESSION, { events: [prompt({ text: "x" })] }),
      () => stranger.beta.sessions.events.send(session.id, { events: [prompt({ text: "x" })] }),
    );
  },
  "sessions.events.stream": async ({ client, stranger }) => {
    const session = await makeSession(client);
    const stream = await client.beta.sessions.events.stream(session.id, { event_deltas: ["agent.message"] });
    await client.beta.sessions.events.send(session.id, { events: [prompt({ text: "a b c" })] });
    const seen = [];
    for await (const event of stream) {
      seen.push(event);
      if (event.type === "session.status_idle") break;
    }
    const deltas = seen.flatMap((event) => (event.type === "event_delta" ? [event] : []));
    expect(deltas.length).toBeGreaterThan(0);
    const listed = await untilIdle(client, session.id);
    expect(seen.filter((event) => event.type !== "event_delta" && event.type !== "event_start")).toEqual(listed);
    await unknown(
      () => client.beta.sessions.events.stream(NO_SESSION),
      () => stranger.beta.sessions.events.stream(session.id),
    );
  },
  "sessions.events.toolRunner": async ({ client }) => {
    const input_schema = { type: "object" as const, properties: { place: { type: "string" as const } } };
    const agent = await makeAgent(client, {
      tools: [{ type: "custom", name: "weather", description: "Weather of a place", input_schema }],
    });
    const session = await client.beta.sessions.create({
      agent: agent.id,
      environment_id: (await makeEnvironment(client)).id,
      initial_events: [prompt({ tool: "mcp__client__weather", input: { place: "Oslo" } }, { text: "told" })],
    });
    const weather = betaTool({
      name: "weather",
      description: "Weather of a place",
      inputSchema: input_schema,
      run: () => "snow",
    });
    const calls = [];
    // It ends by itself when the session has been idle for that long.
    for await (const call of client.beta.sessions.events.toolRunner(session.id, { tools: [weather], maxIdleMs: 3_000 }))
      calls.push(call);
    expect(calls).toMatchObject([{ name: "weather", isError: false, posted: true }]);
    const events = await untilIdle(client, session.id);
    expect(events.find((event) => event.type === "user.custom_tool_result")).toMatchObject({
      content: [{ text: "snow" }],
    });
  },
};

/** A session whose agent has started a sub-agent, and that thread. */
async function withThread(client: Anthropic) {
  const scout = await makeAgent(client, { name: "Scout" });
  const lead = await makeAgent(client, {
    tools: [{ type: "agent_toolset_20260401" }],
    multiagent: { type: "coordinator", agents: [scout.id] },
  });
  const input = {
    description: "part",
    subagent_type: "Scout",
    run_in_background: false,
    prompt: script({ text: "it is there" }),
  };
  const session = await client.beta.sessions.create({
    agent: lead.id,
    environment_id: (await makeEnvironment(client)).id,
    initial_events: [prompt({ tool: "Agent", input }, { text: "thanks" })],
  });
  await untilIdle(client, session.id);
  const threads = await all(client.beta.sessions.threads.list(session.id, { limit: 1 }));
  const [primary, child] = threads;
  if (!primary || !child) throw new Error("the session has no threads");
  return { session_id: session.id, primary, child };
}

export const THREADS: Readonly<Record<string, Check>> = {
  "sessions.threads.list": async ({ client, stranger }) => {
    const { session_id, primary, child } = await withThread(client);
    expect(primary).toMatchObject({ parent_thread_id: null, session_id });
    expect(child).toMatchObject({ parent_thread_id: primary.id, session_id, agent: { name: "Scout" } });
    expect(await all(client.beta.sessions.threads.list(session_id, { statuses: ["running"] }))).toEqual([]);
    await unknown(
      () => client.beta.sessions.threads.list(NO_SESSION),
      () => stranger.beta.sessions.threads.list(session_id),
    );
  },
  "sessions.threads.retrieve": async ({ client, stranger }) => {
    const { session_id, primary, child } = await withThread(client);
    for (const thread of [primary, child])
      expect(await client.beta.sessions.threads.retrieve(thread.id, { session_id })).toMatchObject({
        id: thread.id,
        status: "idle",
      });
    expect(child.usage?.output_tokens).toBeGreaterThan(0);
    await unknown(
      () => client.beta.sessions.threads.retrieve("sthr_none", { session_id }),
      () => stranger.beta.sessions.threads.retrieve(child.id, { session_id }),
    );
  },
  "sessions.threads.archive": async ({ client, stranger }) => {
    const { session_id, primary, child } = await withThread(client);
    await unknown(
      () => client.beta.sessions.threads.archive("sthr_none", { session_id }),
      () => stranger.beta.sessions.threads.archive(child.id, { session_id }),
    );
    const archived = await client.beta.sessions.threads.archive(child.id, { session_id });
    expect(archived).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
    await refused(409, () => client.beta.sessions.threads.archive(primary.id, { session_id }));
  },
  "sessions.threads.events.list": async ({ client, stranger }) => {
    const { session_id, child, primary } = await withThread(client);
    const events = await all(client.beta.sessions.threads.events.list(child.id, { session_id, limit: 1 }));
    expect(events.map((event) => event.type)).toEqual([
      "session.thread_status_running",
      "agent.thread_message_received",
      "agent.message",
      "agent.thread_message_sent",
      "session.thread_status_idle",
    ]);
    expect((await all(client.beta.sessions.threads.events.list(primary.id, { session_id }))).filter(isTheirs)).toEqual(
      (await all(client.beta.sessions.events.list(session_id))).filter(isTheirs),
    );
    await unknown(
      () => client.beta.sessions.threads.events.list("sthr_none", { session_id }),
      () => stranger.beta.sessions.threads.events.list(child.id, { session_id }),
    );
  },
  "sessions.threads.events.stream": async ({ client, stranger }) => {
    const { session_id, child } = await withThread(client);
    const events = await all(client.beta.sessions.threads.events.list(child.id, { session_id }));
    const first = (events[0] as unknown as { seq: number }).seq;
    const stream = await client.beta.sessions.threads.events.stream(
      child.id,
      { session_id },
      { headers: { "last-event-id": String(first) } },
    );
    const seen: unknown[] = [];
    for await (const event of stream) {
      seen.push(event);
      if (event.type === "session.thread_status_idle") break;
    }
    expect(seen).toEqual(events.slice(1));
    await unknown(
      () => client.beta.sessions.threads.events.stream("sthr_none", { session_id }),
      () => stranger.beta.sessions.threads.events.stream(child.id, { session_id }),
    );
  },
};
