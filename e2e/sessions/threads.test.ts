import type Anthropic from "@anthropic-ai/sdk";
import { APIError, NotFoundError } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { all, clientOf, prompt, untilIdle as idle } from "../kit/anthropic.ts";
import type { SessionEvent as Event } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";

/** Sub-agents as threads of their session, driven by Anthropic's own client. */

let gantry: Gantry;
let client: Anthropic;
beforeAll(async () => {
  gantry = await Gantry.start();
  client = clientOf(gantry);
});
afterAll(() => gantry.remove());

const delegate = (kind: string, ...steps: Record<string, unknown>[]) => ({
  tool: "Agent",
  input: { description: "part", subagent_type: kind, run_in_background: false, prompt: script(...steps) },
});
const bash = (command: string) => ({ tool: "Bash", input: { command } });
const textOf = (event: Event | undefined): string =>
  event && "content" in event ? (event.content ?? []).map((block) => ("text" in block ? block.text : "")).join("") : "";

const untilIdle = (id: string, reason?: string) => idle(client, id, reason);

/** A session whose agent has a roster of one. */
async function team(
  helper: Partial<Anthropic.Beta.Agents.AgentCreateParams> = {},
): Promise<{ session: string; helper: Anthropic.Beta.BetaManagedAgentsAgent }> {
  const made = await client.beta.agents.create({
    name: "Scout",
    model: "demo/scout",
    system: "You look for things.",
    tools: [{ type: "agent_toolset_20260401" }],
    ...helper,
  });
  const lead = await client.beta.agents.create({
    name: "Lead",
    model: "demo/lead",
    tools: [{ type: "agent_toolset_20260401" }],
    multiagent: { type: "coordinator", agents: [made.id] },
  });
  const environment = await client.beta.environments.create({ name: "here" });
  const session = await client.beta.sessions.create({ agent: lead.id, environment_id: environment.id });
  return { session: session.id, helper: made };
}

const send = (session: string, ...steps: Record<string, unknown>[]) =>
  client.beta.sessions.events.send(session, { events: [prompt(script(...steps))] });

describe("a sub-agent of the roster", () => {
  it("is a thread with a log, a status, usage and the agent's definition", async () => {
    const { session, helper } = await team();
    await send(session, delegate("Scout", bash("echo found > it.txt"), { text: "it is there" }), { text: "thanks" });
    const main = await untilIdle(session);

    const threads = await all(client.beta.sessions.threads.list(session, { limit: 1 }));
    expect(threads).toHaveLength(2);
    const [primary, child] = threads;
    if (!primary || !child) throw new Error("no threads");
    expect(primary).toMatchObject({
      parent_thread_id: null,
      session_id: session,
      status: "idle",
      workflow_run_id: null,
    });
    expect(primary.agent).toMatchObject({ type: "agent", name: "Lead" });
    expect(child).toMatchObject({
      parent_thread_id: primary.id,
      session_id: session,
      status: "idle",
      archived_at: null,
    });
    expect(child.agent).toMatchObject({ id: helper.id, version: 1, system: "You look for things." });
    expect(child.usage?.output_tokens).toBeGreaterThan(0);
    expect(child.usage?.active_seconds).toBeGreaterThan(0);
    const told = await client.beta.sessions.retrieve(session);
    expect(told.usage.input_tokens).toBe((primary.usage?.input_tokens ?? 0) + (child.usage?.input_tokens ?? 0));

    const inner = await all(client.beta.sessions.threads.events.list(child.id, { session_id: session, limit: 2 }));
    expect(inner.map((event) => event.type)).toEqual([
      "session.thread_status_running",
      "agent.thread_message_received",
      "agent.tool_use",
      "agent.tool_result",
      "agent.message",
      "agent.thread_message_sent",
      "session.thread_status_idle",
    ]);
    expect(inner[1]).toMatchObject({ from_session_thread_id: primary.id });
    expect(textOf(inner[5])).toBe("it is there");

    const types = main.map((event) => event.type);
    expect(types.filter((type) => type.includes("thread"))).toEqual([
      "session.thread_created",
      "session.thread_status_running",
      "agent.thread_message_sent",
      "agent.thread_message_received",
      "session.thread_status_idle",
    ]);
    expect(main.find((event) => event.type === "session.thread_created")).toMatchObject({
      agent_name: "Scout",
      session_thread_id: child.id,
      workflow_run_id: null,
    });
    expect(main.find((event) => event.type === "agent.thread_message_received")).toMatchObject({
      from_session_thread_id: child.id,
      from_agent_name: "Scout",
    });
    // The sub-agent's own work is on its thread alone.
    expect(main.filter((event) => event.type === "agent.tool_use").map((event) => event.name)).toEqual(["Agent"]);
    const ofPrimary = await all(client.beta.sessions.threads.events.list(primary.id, { session_id: session }));
    // Saving goes on beside: the log may have grown.
    expect(ofPrimary.slice(0, main.length)).toEqual(main);

    // All of it is one log, without a gap.
    const log = await gantry.log(session);
    expect(log.map((event) => event.seq)).toEqual(log.map((_event, index) => index + 1));
    expect(log.filter((event) => event.thread_id === child.id)).toHaveLength(inner.length);
  });

  it("runs with its own model, prompt and tools", async () => {
    const only = { name: "read" as const, enabled: true };
    const { session } = await team({
      tools: [{ type: "agent_toolset_20260401", default_config: { enabled: false }, configs: [only] }],
    });
    await send(session, delegate("Scout", bash("touch no.txt"), { text: "tried" }), { text: "ok" });
    await untilIdle(session);
    const [, child] = await all(client.beta.sessions.threads.list(session));
    const events = await all(client.beta.sessions.threads.events.list(child?.id ?? "", { session_id: session }));
    expect(events.find((event) => event.type === "agent.tool_result")).toMatchObject({ is_error: true });
    const usage = (await (await gantry.fetch(`/v1/usage?session_id=${session}`)).json()) as {
      data: { model: string }[];
    };
    expect(usage.data.map((row) => row.model).toSorted()).toEqual(["demo/lead", "demo/scout"]);
  });

  it("of another name is not started", async () => {
    const { session } = await team();
    await send(session, delegate("general-purpose", bash("touch no.txt"), { text: "did" }), { text: "ok" });
    const events = await untilIdle(session);
    expect(events.find((event) => event.type === "agent.tool_result")).toMatchObject({ is_error: true });
    expect(await all(client.beta.sessions.threads.list(session))).toHaveLength(1);
  });

  it("that needs permission asks on the primary thread", async () => {
    const { session } = await team({
      tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: { type: "always_ask" } } }],
    });
    await send(session, delegate("Scout", bash("echo yes > out.txt"), { text: "done" }), { text: "ok" });
    const waiting = await untilIdle(session, "requires_action");
    const [, child] = await all(client.beta.sessions.threads.list(session));
    const call = waiting.find((event) => event.type === "agent.tool_use" && event.name === "Bash");
    expect(call).toMatchObject({ session_thread_id: child?.id });
    expect(child?.status).toBe("running");
    await expect(client.beta.sessions.threads.archive(child?.id ?? "", { session_id: session })).rejects.toMatchObject({
      status: 409,
    });
    await client.beta.sessions.events.send(session, {
      events: [{ type: "user.tool_confirmation", tool_use_id: call?.id ?? "", result: "allow" }],
    });
    await untilIdle(session);
    const inner = await all(client.beta.sessions.threads.events.list(child?.id ?? "", { session_id: session }));
    const own = inner.find((event) => event.type === "agent.tool_use");
    expect(own).toMatchObject({ id: call?.id });
    expect(own).not.toHaveProperty("session_thread_id");
    expect(inner.find((event) => event.type === "agent.tool_result")).toMatchObject({ is_error: false });
  });
});

describe("threads", () => {
  it("stream, and go on from any event", async () => {
    const { session } = await team();
    await send(session, delegate("Scout", { text: "one" }), { text: "ok" });
    await untilIdle(session);
    const [, child] = await all(client.beta.sessions.threads.list(session));
    const id = child?.id ?? "";
    const listed = await all(client.beta.sessions.threads.events.list(id, { session_id: session }));
    const streamed: Event[] = [];
    const from = String((listed[1] as unknown as { seq: number }).seq);
    const stream = await client.beta.sessions.threads.events.stream(
      id,
      { session_id: session },
      { headers: { "last-event-id": from } },
    );
    for await (const event of stream) {
      streamed.push(event as Event);
      if (event.type === "session.thread_status_idle") break;
    }
    expect(streamed).toEqual(listed.slice(2));
  });

  it("are listed by status, retrieved and archived", async () => {
    const { session } = await team();
    await send(session, delegate("Scout", { text: "one" }), delegate("Scout", { text: "two" }), { text: "ok" });
    await untilIdle(session);
    const threads = client.beta.sessions.threads;
    const [primary, first, second] = await all(threads.list(session));
    if (!primary || !first || !second) throw new Error("no threads");
    const archived = await threads.archive(first.id, { session_id: session });
    expect(archived).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
    expect(await threads.retrieve(first.id, { session_id: session })).toMatchObject({
      id: first.id,
      archived_at: archived.archived_at,
    });
    expect((await all(threads.list(session, { statuses: ["terminated"] }))).map(({ id }) => id)).toEqual([first.id]);
    expect((await all(threads.list(session, { statuses: ["idle"] }))).map(({ id }) => id)).toEqual([
      primary.id,
      second.id,
    ]);
    expect(await all(threads.list(session, { statuses: ["running"] }))).toEqual([]);
    await expect(threads.archive(primary.id, { session_id: session })).rejects.toBeInstanceOf(APIError);
  });

  it("of another session are unknown", async () => {
    const one = await team();
    const other = await team();
    await send(one.session, delegate("Scout", { text: "one" }), { text: "ok" });
    await untilIdle(one.session);
    const [, child] = await all(client.beta.sessions.threads.list(one.session));
    const wrong = { session_id: other.session };
    for (const ask of [
      () => client.beta.sessions.threads.retrieve(child?.id ?? "", wrong),
      () => client.beta.sessions.threads.archive(child?.id ?? "", wrong),
      () => client.beta.sessions.threads.events.list(child?.id ?? "", wrong),
      () => client.beta.sessions.threads.events.stream(child?.id ?? "", wrong),
      () => client.beta.sessions.threads.retrieve("sthr_x", wrong),
    ])
      await expect(ask()).rejects.toBeInstanceOf(NotFoundError);
  });

  it("of a sub-agent whose runner is killed end with it", async () => {
    const { session } = await team();
    await send(session, delegate("Scout", bash("tail -f /dev/null"), { text: "never" }), { text: "ok" });
    await until(async () => {
      const [, child] = await all(client.beta.sessions.threads.list(session));
      return child?.status === "running";
    }, "the sub-agent to run");
    gantry.kill("runner", "engine", "child");
    await untilIdle(session, "retries_exhausted");
    await until(async () => {
      const [, child] = await all(client.beta.sessions.threads.list(session));
      return child?.status === "terminated";
    }, "the thread to end");
  });
});
