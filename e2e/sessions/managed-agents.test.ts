import type Anthropic from "@anthropic-ai/sdk";
import { NotFoundError } from "@anthropic-ai/sdk";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf, prompt, untilIdle as idle } from "../kit/anthropic.ts";
import { Gantry, lastOf, script, until } from "../kit/gantry.ts";
import { openShop } from "../kit/mcp-shop.ts";

/** Sessions of configured agents, driven by Anthropic's own client. */

let gantry: Gantry;
let client: Anthropic;
beforeAll(async () => {
  gantry = await Gantry.start();
  client = clientOf(gantry);
});
afterAll(() => gantry.remove());

type AgentParams = Anthropic.Beta.Agents.AgentCreateParams;
const makeAgent = (params: Partial<AgentParams> = {}) =>
  client.beta.agents.create({ name: "Helper", model: "demo/scripted", ...params });
const bash = (command: string) => ({ tool: "Bash", input: { command } });

const untilIdle = (id: string, reason?: string) => idle(client, id, reason);

describe("models", () => {
  it("are the router's names, in Anthropic's shape", async () => {
    const list = [];
    for await (const model of client.beta.models.list({ limit: 1 })) list.push(model);
    expect(list.map((model) => model.id)).toContain("demo/scripted");
    expect(new Set(list.map((model) => model.id)).size).toBe(list.length);
    for (const model of list) expect(model).toMatchObject({ type: "model", lifecycle: "active" });
    expect(await client.beta.models.retrieve("demo/scripted")).toEqual(list.find(({ id }) => id === "demo/scripted"));
    expect(await client.beta.models.retrieve("demo/any/other")).toMatchObject({ id: "demo/any/other", type: "model" });
    await expect(client.beta.models.retrieve("nobody/x")).rejects.toThrow(NotFoundError);
    const openai = await gantry.fetch("/v1/models");
    expect(await openai.json()).toMatchObject({ object: "list" });
  });
});

describe("a session of an agent", () => {
  it("is made, prompted, followed and described", async () => {
    const agent = await makeAgent({
      tools: [{ type: "agent_toolset_20260401" }],
      system: "You are the helper of a test.",
    });
    const environment = await client.beta.environments.create({ name: "here" });
    const session = await client.beta.sessions.create({
      agent: agent.id,
      environment_id: environment.id,
      title: "A story",
      metadata: { project: "x" },
    });
    expect(session).toMatchObject({
      type: "session",
      status: "idle",
      title: "A story",
      metadata: { project: "x" },
      environment_id: environment.id,
      agent: { id: agent.id, version: 1, system: "You are the helper of a test." },
    });

    const stream = await client.beta.sessions.events.stream(session.id);
    await client.beta.sessions.events.send(session.id, { events: [prompt("What is 7 * 6?")] });
    const types: string[] = [];
    for await (const event of stream) {
      types.push(event.type);
      if (event.type === "agent.message")
        expect(event.content.map((block) => ("text" in block ? block.text : "")).join("")).toContain("42");
      if (event.type === "session.status_idle") break;
    }
    expect(types).toEqual(
      expect.arrayContaining([
        "user.message",
        "session.status_running",
        "span.model_request_start",
        "agent.message",
        "span.model_request_end",
        "session.status_idle",
      ]),
    );
    expect(types).not.toContain("event_delta");

    const told = await client.beta.sessions.retrieve(session.id);
    expect(told.status).toBe("idle");
    expect(told.usage.output_tokens).toBeGreaterThan(0);
    expect(told.stats.active_seconds).toBeGreaterThan(0);
  });

  it("gives the engine the agent's model, system prompt and tools, and no others", async () => {
    const agent = await makeAgent({
      tools: [
        {
          type: "agent_toolset_20260401",
          default_config: { enabled: false },
          configs: [{ name: "write", enabled: true, permission_policy: { type: "always_allow" } }],
        },
      ],
    });
    const session = await client.beta.sessions.create({
      agent: agent.id,
      environment_id: (await client.beta.environments.create({ name: "e" })).id,
      initial_events: [
        prompt(
          script({ tool: "Write", input: { file_path: "a.txt", content: "hi" } }, bash("touch b.txt"), {
            text: "done",
          }),
        ),
      ],
    });
    const events = await untilIdle(session.id);
    const results = events.filter((event) => event.type === "agent.tool_result");
    expect(results.map((event) => event.is_error)).toEqual([false, true]);
    expect(existsSync(join(gantry.workspace(session.id), "a.txt"))).toBe(true);
    expect(existsSync(join(gantry.workspace(session.id), "b.txt"))).toBe(false);
  });

  it("takes overrides, and keeps the agent of its making when that changes", async () => {
    const agent = await makeAgent({ system: "old" });
    const environment = await client.beta.environments.create({ name: "e2" });
    const session = await client.beta.sessions.create({
      agent: { type: "agent_with_overrides", id: agent.id, system: "other" },
      environment_id: environment.id,
    });
    await client.beta.agents.update(agent.id, { version: agent.version, system: "new" });
    expect((await client.beta.sessions.retrieve(session.id)).agent).toMatchObject({ version: 1, system: "other" });
    const pinned = await client.beta.sessions.create({
      agent: { type: "agent", id: agent.id, version: 1 },
      environment_id: environment.id,
    });
    expect(pinned.agent.system).toBe("old");
  });

  it("is updated, listed in pages, archived and deleted", async () => {
    const agent = await makeAgent();
    const environment = await client.beta.environments.create({ name: "e3" });
    const made = [];
    for (let i = 0; i < 7; i++)
      made.push(
        (await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id, title: `s${i}` })).id,
      );
    const seen: string[] = [];
    for await (const session of client.beta.sessions.list({ agent_id: agent.id, limit: 3 })) seen.push(session.id);
    expect(seen).toEqual(made.toReversed());
    const [first = "", second = ""] = made;
    expect(await client.beta.sessions.update(first, { title: "renamed", metadata: { a: "1" } })).toMatchObject({
      title: "renamed",
      metadata: { a: "1" },
    });
    expect(await client.beta.sessions.archive(first)).toMatchObject({
      status: "terminated",
      archived_at: expect.any(String),
    });
    await expect(client.beta.sessions.events.send(first, { events: [prompt("x")] })).rejects.toMatchObject({
      status: 409,
    });
    expect(await client.beta.sessions.delete(second)).toEqual({ id: second, type: "session_deleted" });
    await expect(client.beta.sessions.retrieve(second)).rejects.toBeInstanceOf(NotFoundError);
    const left: string[] = [];
    for await (const session of client.beta.sessions.list({ agent_id: agent.id })) left.push(session.id);
    expect(left).toEqual(made.slice(2).toReversed());
  });

  it("goes without an agent and an environment, as plain Claude Code", async () => {
    const response = await gantry.post("/v1/sessions", { initial_events: [prompt("What is 3 * 3?")] });
    const session = (await response.json()) as { id: string };
    const events = await untilIdle(session.id);
    expect(JSON.stringify(events)).toContain("9");
  });

  it("is listed whichever door made it", async () => {
    const { sessionId } = await gantry.run({ prompt: "What is 1 + 1?" });
    await until(async () => {
      const page = await client.beta.sessions.list({ limit: 100 });
      return page.data.some((session) => session.id === sessionId);
    }, "the session in the list");
  });
});

describe("an approval", () => {
  const ask = {
    tools: [
      {
        type: "agent_toolset_20260401" as const,
        default_config: { permission_policy: { type: "always_allow" as const } },
        configs: [{ name: "bash" as const, permission_policy: { type: "always_ask" as const } }],
      },
    ],
  };

  async function waiting(text: string) {
    const agent = await makeAgent(ask);
    const environment = await client.beta.environments.create({ name: "e" });
    const session = await client.beta.sessions.create({
      agent: agent.id,
      environment_id: environment.id,
      initial_events: [prompt(text)],
    });
    const events = await untilIdle(session.id, "requires_action");
    const last = lastOf(events);
    const ids =
      last?.type === "session.status_idle" && last.stop_reason.type === "requires_action"
        ? last.stop_reason.event_ids
        : [];
    return { session, events, id: ids[0] ?? "", ids };
  }

  it("stops the run until it is given; then the tool runs", async () => {
    const { session, events, id } = await waiting(script(bash("echo approved > out.txt"), { text: "after" }));
    expect(events.find((event) => event.type === "agent.tool_use" && event.id === id)).toMatchObject({ name: "Bash" });
    expect((await client.beta.sessions.retrieve(session.id)).status).toBe("idle");
    expect(existsSync(join(gantry.workspace(session.id), "out.txt"))).toBe(false);
    const listed = (await (await gantry.fetch("/v1/approvals")).json()) as {
      data: { tool_use_id: string; session_id: string }[];
    };
    expect(listed.data).toContainEqual(
      expect.objectContaining({ tool_use_id: id, session_id: session.id, tool: "Bash" }),
    );
    await client.beta.sessions.events.send(session.id, {
      events: [{ type: "user.tool_confirmation", tool_use_id: id, result: "allow" }],
    });
    await untilIdle(session.id);
    expect(readFileSync(join(gantry.workspace(session.id), "out.txt"), "utf8")).toBe("approved\n");
    const after = (await (await gantry.fetch("/v1/approvals")).json()) as { data: { session_id: string }[] };
    expect(after.data.filter((each) => each.session_id === session.id)).toEqual([]);
  });

  it("that is refused tells the agent why, and the run goes on", async () => {
    const { session, id } = await waiting(script(bash("echo no > out.txt"), { text: "after" }));
    await client.beta.sessions.events.send(session.id, {
      events: [{ type: "user.tool_confirmation", tool_use_id: id, result: "deny", deny_message: "not today" }],
    });
    const events = await untilIdle(session.id);
    expect(events.find((event) => event.type === "agent.tool_result" && event.tool_use_id === id)).toMatchObject({
      is_error: true,
      content: [{ text: expect.stringContaining("not today") }],
    });
    expect(existsSync(join(gantry.workspace(session.id), "out.txt"))).toBe(false);
  });

  it("is asked for what the permission mode does not allow, and is taken once", async () => {
    const { session, id } = await waiting(script(bash("echo once >> out.txt"), { text: "after" }));
    const allow = { events: [{ type: "user.tool_confirmation" as const, tool_use_id: id, result: "allow" as const }] };
    await client.beta.sessions.events.send(session.id, allow);
    await untilIdle(session.id);
    await expect(client.beta.sessions.events.send(session.id, allow)).rejects.toMatchObject({ status: 400 });
    await expect(
      client.beta.sessions.events.send(session.id, {
        events: [{ type: "user.tool_confirmation", tool_use_id: "sevt_nobody", result: "allow" }],
      }),
    ).rejects.toMatchObject({ status: 400 });
    expect(readFileSync(join(gantry.workspace(session.id), "out.txt"), "utf8")).toBe("once\n");
  });

  it("outlives the death of the Worker", async () => {
    const { session, id } = await waiting(script(bash("echo survived > out.txt"), { text: "after" }));
    gantry.kill("workerd");
    await until(
      async () => (await fetch(`${gantry.url}/health`).catch(() => null))?.status === 200,
      "the Worker to be back",
    );
    await client.beta.sessions.events.send(session.id, {
      events: [{ type: "user.tool_confirmation", tool_use_id: id, result: "allow" }],
    });
    await untilIdle(session.id);
    expect(readFileSync(join(gantry.workspace(session.id), "out.txt"), "utf8")).toBe("survived\n");
  });

  it("that waits can be interrupted", async () => {
    const { session } = await waiting(script(bash("echo no > out.txt"), { text: "after" }));
    await client.beta.sessions.events.send(session.id, { events: [{ type: "user.interrupt" }] });
    const events = await untilIdle(session.id);
    expect(events.at(-2)).toMatchObject({ type: "run.ended", outcome: "interrupted" });
  });
});

describe("a custom tool", () => {
  it("is answered by the client, and its answer reaches the agent", async () => {
    const agent = await makeAgent({
      tools: [
        {
          type: "custom",
          name: "weather",
          description: "Weather of a city",
          input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
        },
      ],
    });
    const environment = await client.beta.environments.create({ name: "e" });
    const session = await client.beta.sessions.create({
      agent: agent.id,
      environment_id: environment.id,
      initial_events: [prompt(script({ tool: "mcp__client__weather", input: { city: "Oslo" } }, { text: "told" }))],
    });
    const events = await untilIdle(session.id, "requires_action");
    const call = events.find((event) => event.type === "agent.custom_tool_use");
    expect(call).toMatchObject({ name: "weather", input: { city: "Oslo" } });
    await client.beta.sessions.events.send(session.id, {
      events: [
        {
          type: "user.custom_tool_result",
          custom_tool_use_id: call?.id ?? "",
          content: [{ type: "text", text: "snow" }],
        },
      ],
    });
    const after = await untilIdle(session.id);
    expect(after.find((event) => event.type === "user.custom_tool_result")).toMatchObject({
      content: [{ text: "snow" }],
    });
    expect(after.find((event) => event.type === "agent.tool_result")).toMatchObject({
      is_error: false,
      content: [{ text: "snow" }],
    });
    expect(after.some((event) => event.type === "agent.message")).toBe(true);
  });
});

describe("an MCP server", () => {
  it("is called by the engine under the agent's policies", async () => {
    const shop = await openShop();
    const allow = { type: "always_allow" as const };
    const agent = await makeAgent({
      mcp_servers: [{ type: "url", name: "shop", url: `http://${shop.host}/mcp` }],
      tools: [
        {
          type: "mcp_toolset",
          mcp_server_name: "shop",
          default_config: { permission_policy: allow },
          configs: [{ name: "buy", enabled: false }],
        },
      ],
    });
    const environment = await client.beta.environments.create({ name: "e" });
    const steps = script(
      { tool: "mcp__shop__price", input: { item: "apple" } },
      { tool: "mcp__shop__buy", input: {} },
      { text: "done" },
    );
    const session = await client.beta.sessions.create({
      agent: agent.id,
      environment_id: environment.id,
      initial_events: [prompt(steps)],
    });
    const events = await untilIdle(session.id);
    const call = events.find((event) => event.type === "agent.mcp_tool_use");
    expect(call).toMatchObject({ mcp_server_name: "shop", name: "price", input: { item: "apple" } });
    const results = events.filter((event) => event.type === "agent.mcp_tool_result");
    expect(results[0]).toMatchObject({ mcp_tool_use_id: call?.id, is_error: false, content: [{ text: "apple: 3" }] });
    expect(JSON.stringify(events)).not.toContain("bought");
    shop.close();
  });
});

describe("bad input", () => {
  it.each([
    ["an unknown field", { titel: "x" }, 400, "titel"],
    ["an unknown agent", { agent: "agent_none" }, 404, "Agent"],
    ["an unknown environment", { environment_id: "env_none" }, 404, "Environment"],
    ["metadata that is no text", { metadata: { a: 1 } }, 400, "metadata"],
    ["an event of another kind", { initial_events: [{ type: "agent.message" }] }, 400, "initial_events[0]"],
  ])("refuses %s", async (_name, body, status, named) => {
    const response = await gantry.post("/v1/sessions", body);
    const answer = (await response.json()) as { error: { message: string } };
    expect([response.status, answer.error.message]).toEqual([status, expect.stringContaining(named)]);
  });

  it("answers with the client's own error classes", async () => {
    await expect(client.beta.sessions.retrieve("sesn_00000000000000000000000000000000000a")).rejects.toBeInstanceOf(
      NotFoundError,
    );
    await expect(clientOf(gantry, "wrong").beta.sessions.list()).rejects.toMatchObject({ status: 401 });
  });
});
