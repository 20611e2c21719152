import Anthropic from "@anthropic-ai/sdk";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, lastOf, script, until } from "../kit/gantry.ts";

/** Sessions whose tools are carried out by the worker of Anthropic's own client, in a folder that is not ours. */

let gantry: Gantry;
let client: Anthropic;
let environmentKey: string;
let workdir: string;
beforeAll(async () => {
  gantry = await Gantry.start();
  client = clientOf(gantry);
  const made = await gantry.post("/v1/keys", { name: "worker", scopes: ["work"] });
  environmentKey = ((await made.json()) as { key: string }).key;
  workdir = mkdtempSync(join(tmpdir(), "gantry-worker-"));
});
afterAll(async () => {
  await gantry.remove();
  rmSync(workdir, { recursive: true, force: true });
});

const tool = (name: string, input: object) => ({ tool: `mcp__self_hosted__${name}`, input });
const prompt = (...steps: Record<string, unknown>[]) => ({
  type: "user.message" as const,
  content: [{ type: "text" as const, text: script(...steps) }],
});
type Toolset = Anthropic.Beta.BetaManagedAgentsAgentToolset20260401Params;

async function makeEnvironment(): Promise<string> {
  return (await client.beta.environments.create({ name: "mine", config: { type: "self_hosted" } })).id;
}

async function makeSession(environment_id: string, toolset: Partial<Toolset> = {}) {
  const agent = await client.beta.agents.create({
    name: "Remote",
    model: "demo/scripted",
    tools: [{ type: "agent_toolset_20260401", ...toolset }],
  });
  return client.beta.sessions.create({ agent: agent.id, environment_id });
}

async function eventsOf(id: string) {
  const events = [];
  for await (const event of client.beta.sessions.events.list(id)) events.push(event);
  return events.filter((event) => !event.type.startsWith("workspace."));
}

async function untilIdle(id: string, reason = "end_turn") {
  let events: Awaited<ReturnType<typeof eventsOf>> = [];
  await until(async () => {
    events = await eventsOf(id);
    const last = lastOf(events);
    return last?.type === "session.status_idle" && last.stop_reason.type === reason;
  }, `the session to be idle with ${reason}`);
  return events;
}

async function workOf(environmentId: string) {
  const items = [];
  for await (const item of client.beta.environments.work.list(environmentId)) items.push(item);
  return items;
}

/** A worker as a user starts one; its client has no other key than the environment's. */
function startWorker(environmentId: string): { stop: () => Promise<void> } {
  const ended = new AbortController();
  const own = new Anthropic({ baseURL: gantry.url, apiKey: null, authToken: environmentKey, logLevel: "off" });
  const options = { environmentId, environmentKey, workdir, maxIdleMs: 1_000 };
  const running = own.beta.environments.work.worker(options).run(ended.signal);
  return {
    stop: async () => {
      ended.abort();
      await running.catch(() => undefined);
    },
  };
}

/** Work, taken by hand. */
async function takeWork(environmentId: string) {
  let work: Anthropic.Beta.Environments.BetaSelfHostedWork | null = null;
  await until(async () => {
    work = await client.beta.environments.work.poll(environmentId, { block_ms: 500 });
    return work !== null;
  }, "work");
  const { id, data, secret } = work as unknown as Anthropic.Beta.Environments.BetaSelfHostedWork;
  const { sessions_token: token } = JSON.parse(Buffer.from(secret ?? "", "base64url").toString()) as {
    sessions_token: string;
  };
  return {
    id,
    data,
    token,
    asWorker: new Anthropic({ baseURL: gantry.url, apiKey: null, authToken: token, maxRetries: 0 }),
  };
}

describe("a session in a self-hosted environment", () => {
  it("has its tools carried out by the worker, run after run, and leaves nothing with us", async () => {
    const environment = await makeEnvironment();
    const session = await makeSession(environment);
    const worker = startWorker(environment);
    try {
      await client.beta.sessions.events.send(session.id, {
        events: [
          prompt(
            tool("write", { file_path: "notes/a.txt", content: "written over there" }),
            tool("bash", { command: "cat notes/a.txt && pwd" }),
            tool("read", { file_path: "missing.txt" }),
            { text: "done" },
          ),
        ],
      });
      const events = await untilIdle(session.id);
      const used = events.filter((event) => event.type === "agent.tool_use");
      expect(used.map(({ name }) => name)).toEqual(["write", "bash", "read"]);
      const results = events.filter((event) => event.type === "user.tool_result");
      expect(results.map(({ tool_use_id }) => tool_use_id)).toEqual(used.map(({ id }) => id));
      expect(results.map(({ is_error }) => is_error)).toEqual([false, false, true]);
      expect(JSON.stringify(results[1])).toContain(`written over there${workdir}`);
      expect(readFileSync(join(workdir, "notes/a.txt"), "utf8")).toBe("written over there");
      expect(existsSync(join(gantry.workspace(session.id), "notes"))).toBe(false);

      // The worker goes when nothing follows; the next message calls one again.
      await until(async () => (await workOf(environment))[0]?.state === "stopped", "the worker to go");
      await client.beta.sessions.events.send(session.id, {
        events: [prompt(tool("bash", { command: "echo again > b.txt" }), { text: "done" })],
      });
      await until(() => existsSync(join(workdir, "b.txt")), "the second command");
      await untilIdle(session.id);
      await until(async () => (await workOf(environment)).every(({ state }) => state === "stopped"), "it to go again");
      expect((await workOf(environment)).map(({ data }) => data.id)).toEqual([session.id, session.id]);
    } finally {
      await worker.stop();
    }
  }, 120_000);

  it("has none of the engine's own tools for files and commands", async () => {
    const session = await makeSession(await makeEnvironment());
    await client.beta.sessions.events.send(session.id, {
      events: [
        prompt(
          { tool: "Bash", input: { command: "touch here.txt" } },
          { tool: "Write", input: { file_path: "here.txt", content: "x" } },
          { text: "done" },
        ),
      ],
    });
    await untilIdle(session.id);
    expect(existsSync(join(gantry.workspace(session.id), "here.txt"))).toBe(false);
  }, 60_000);

  it("asks before a call that has to be allowed: the worker waits for that, and does nothing that is denied", async () => {
    const environment = await makeEnvironment();
    const ask = { enabled: true, permission_policy: { type: "always_ask" as const } };
    const session = await makeSession(environment, { default_config: ask });
    const worker = startWorker(environment);
    try {
      await client.beta.sessions.events.send(session.id, {
        events: [
          prompt(tool("bash", { command: "echo 1 > allowed.txt" }), tool("bash", { command: "echo 1 > denied.txt" }), {
            text: "done",
          }),
        ],
      });
      const answers: ("allow" | "deny")[] = ["allow", "deny"];
      for (const [nth, result] of answers.entries()) {
        let id = "";
        await until(async () => {
          const used = (await eventsOf(session.id)).filter((event) => event.type === "agent.tool_use");
          id = used[nth]?.id ?? "";
          return id !== "";
        }, `call ${nth}`);
        const result_early = { type: "user.tool_result" as const, tool_use_id: id };
        await expect(client.beta.sessions.events.send(session.id, { events: [result_early] })).rejects.toMatchObject({
          status: 409,
        });
        const answer = { type: "user.tool_confirmation" as const, tool_use_id: id, result };
        await client.beta.sessions.events.send(session.id, { events: [answer] });
      }
      const events = await untilIdle(session.id);
      expect(events.filter((event) => event.type === "user.tool_result")).toHaveLength(1);
      expect(existsSync(join(workdir, "allowed.txt"))).toBe(true);
      expect(existsSync(join(workdir, "denied.txt"))).toBe(false);
    } finally {
      await worker.stop();
    }
  }, 120_000);

  it("waits for a worker without an engine, over a restart", async () => {
    const environment = await client.beta.environments.create({
      name: "mine",
      config: { type: "self_hosted" },
      metadata: { sleep_after_minutes: "0.01" },
    });
    const session = await makeSession(environment.id);
    await client.beta.sessions.events.send(session.id, {
      events: [prompt(tool("bash", { command: "echo late > late.txt" }), { text: "done at last" })],
    });
    await untilIdle(session.id, "requires_action");
    await until(() => gantry.processes(session.id).engine.length === 0, "the engine to be gone");
    const { port } = gantry;
    await gantry.stop();
    await gantry.start(port);
    const worker = startWorker(environment.id);
    try {
      const events = await untilIdle(session.id);
      expect(readFileSync(join(workdir, "late.txt"), "utf8")).toBe("late\n");
      expect(JSON.stringify(events)).toContain("done at last");
      expect(events.filter((event) => event.type === "user.tool_result")).toHaveLength(1);
    } finally {
      await worker.stop();
    }
  }, 120_000);

  it("is made only with what such an environment has", async () => {
    const environment_id = await makeEnvironment();
    const agent = await client.beta.agents.create({ name: "Plain", model: "demo/scripted" });
    const lead = await client.beta.agents.create({
      name: "Lead",
      model: "demo/scripted",
      multiagent: { type: "coordinator", agents: [agent.id] },
    });
    const file = await client.beta.files.upload({ file: new File(["x"], "x.txt") });
    const resources = [{ type: "file" as const, file_id: file.id }];
    for (const [params, field] of [
      [{ agent: lead.id }, "agent"],
      [{ agent: agent.id, resources }, "resources"],
    ] as const)
      await expect(client.beta.sessions.create({ environment_id, ...params })).rejects.toMatchObject({
        status: 400,
        error: { error: { param: field } },
      });
    expect((await gantry.post("/v1/sessions", { environment_id })).status).toBe(400);
    const session = await client.beta.sessions.create({ agent: agent.id, environment_id });
    await expect(
      client.beta.sessions.resources.add(session.id, { type: "file", file_id: file.id }),
    ).rejects.toMatchObject({ status: 409 });
  }, 60_000);
});

describe("the credential of a work item", () => {
  it("opens its session for results, and nothing else", async () => {
    const environment = await makeEnvironment();
    const session = await makeSession(environment);
    const other = await makeSession(environment);
    await client.beta.sessions.events.send(session.id, {
      events: [prompt(tool("read", { file_path: "a" }), { text: "done" })],
    });
    const { id, data, token, asWorker } = await takeWork(environment);
    expect(data).toEqual({ type: "session", id: session.id });
    expect((await asWorker.beta.sessions.retrieve(session.id)).id).toBe(session.id);
    const refusals = [
      () => asWorker.beta.sessions.retrieve(other.id),
      () => asWorker.beta.sessions.list(),
      () => asWorker.beta.sessions.delete(session.id),
      () => asWorker.beta.agents.list(),
      () => asWorker.beta.environments.work.poll(environment),
    ];
    for (const refusal of refusals) await expect(refusal()).rejects.toMatchObject({ status: 403 });
    for (const event of [prompt({ text: "hi" }), { type: "user.interrupt" as const }])
      await expect(asWorker.beta.sessions.events.send(session.id, { events: [event] })).rejects.toMatchObject({
        status: 400,
      });
    const key = clientOf(gantry, environmentKey);
    await expect(key.beta.sessions.retrieve(session.id)).rejects.toMatchObject({ status: 403 });

    const [call] = (await untilIdle(session.id, "requires_action")).filter((event) => event.type === "agent.tool_use");
    const result = { type: "user.tool_result" as const, tool_use_id: call?.id ?? "" };
    await asWorker.beta.sessions.events.send(session.id, {
      events: [{ ...result, content: [{ type: "text", text: "by hand" }] }],
    });
    expect(JSON.stringify(await untilIdle(session.id))).toContain("by hand");
    await asWorker.beta.environments.work.ack(id, { environment_id: environment });
    await asWorker.beta.environments.work.stop(id, { environment_id: environment, force: true });
    await expect(asWorker.beta.sessions.retrieve(session.id)).rejects.toMatchObject({ status: 403 });
    expect(gantry.output + JSON.stringify(await eventsOf(session.id))).not.toContain(token);
  }, 60_000);

  it("is worth nothing once another worker has the work, which comes free when the lease runs out", async () => {
    const environment = await makeEnvironment();
    const session = await makeSession(environment);
    await client.beta.sessions.events.send(session.id, {
      events: [prompt(tool("read", { file_path: "a" }), { text: "done" })],
    });
    const first = await takeWork(environment);
    const at = { environment_id: environment };
    await first.asWorker.beta.environments.work.ack(first.id, at);
    await first.asWorker.beta.environments.work.heartbeat(first.id, { ...at, desired_ttl_seconds: 10 });
    expect(await client.beta.environments.work.poll(environment)).toBeNull();
    const second = await takeWork(environment);
    expect(second.id).toBe(first.id);
    await expect(first.asWorker.beta.sessions.retrieve(session.id)).rejects.toMatchObject({ status: 401 });
    expect((await second.asWorker.beta.sessions.retrieve(session.id)).id).toBe(session.id);
  }, 60_000);

  it("of a session that is not finished is followed by another when its worker stops", async () => {
    const environment = await makeEnvironment();
    const session = await makeSession(environment);
    await client.beta.sessions.events.send(session.id, {
      events: [prompt(tool("read", { file_path: "a" }), { text: "done" })],
    });
    const first = await takeWork(environment);
    await client.beta.environments.work.stop(first.id, { environment_id: environment, force: true });
    const second = await takeWork(environment);
    expect(second.id).not.toBe(first.id);
    expect(second.data.id).toBe(session.id);
  }, 60_000);
});

describe("work that is to end", () => {
  it("is ended by its worker, and the next one begins after that", async () => {
    const environment = await makeEnvironment();
    const at = { environment_id: environment };
    const session = await makeSession(environment);
    const ask = prompt(tool("read", { file_path: "a" }), { text: "done" });
    await client.beta.sessions.events.send(session.id, { events: [ask] });
    const { id, asWorker } = await takeWork(environment);
    await asWorker.beta.environments.work.ack(id, at);
    await asWorker.beta.environments.work.heartbeat(id, at);
    await client.beta.sessions.events.send(session.id, { events: [{ type: "user.interrupt" }] });
    await untilIdle(session.id);
    expect((await client.beta.environments.work.stop(id, at)).state).toBe("stopping");
    expect((await asWorker.beta.environments.work.heartbeat(id, at)).state).toBe("stopping");
    await client.beta.sessions.events.send(session.id, { events: [ask] });
    await until(async () => (await workOf(environment)).length === 2, "more work");
    expect(await client.beta.environments.work.poll(environment, { block_ms: 900 })).toBeNull();
    await asWorker.beta.environments.work.stop(id, { ...at, force: true });
    expect((await takeWork(environment)).id).not.toBe(id);
  }, 60_000);
});

describe("user.tool_result", () => {
  it("is for self-hosted environments alone", async () => {
    const environment = await client.beta.environments.create({ name: "cloud" });
    const session = await makeSession(environment.id);
    await client.beta.sessions.events.send(session.id, {
      events: [prompt({ tool: "Bash", input: { command: "sleep 1" } }, { text: "done" })],
    });
    const [call] = (await untilIdle(session.id)).filter((event) => event.type === "agent.tool_use");
    const result = { type: "user.tool_result" as const, tool_use_id: call?.id ?? "" };
    await expect(client.beta.sessions.events.send(session.id, { events: [result] })).rejects.toMatchObject({
      status: 400,
    });
    await expect(client.beta.environments.work.poll(environment.id)).rejects.toMatchObject({ status: 400 });
  }, 60_000);
});
