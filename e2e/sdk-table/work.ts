import type Anthropic from "@anthropic-ai/sdk";
import { BetaHeartbeatPreconditionFailedError } from "@anthropic-ai/sdk/resources/beta/environments/work";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { until } from "../kit/gantry.ts";
import { all } from "../kit/anthropic.ts";
import { NOBODY, makeAgent, paged, prompt, refused, unknown, untilIdle } from "./context.ts";
import type { Check } from "./context.ts";

/** Work of self-hosted environments. What its worker may and may not is in e2e/agents/self-hosted.test.ts. */

const NO_WORK = `work_${NOBODY}`;
const NO_ENVIRONMENT = `env_${NOBODY}`;

async function makeSelfHosted(client: Anthropic): Promise<string> {
  return (await client.beta.environments.create({ name: "mine", config: { type: "self_hosted" } })).id;
}

/** A session that has something for a worker, and its work item once there is one. */
async function withWork(client: Anthropic, there?: string, command = "true") {
  const environment_id = there ?? (await makeSelfHosted(client));
  const agent = await makeAgent(client, { tools: [{ type: "agent_toolset_20260401" }] });
  const session = await client.beta.sessions.create({
    agent: agent.id,
    environment_id,
    initial_events: [prompt({ tool: "mcp__self_hosted__bash", input: { command } }, { text: "done" })],
  });
  let id = "";
  await until(async () => {
    const items = await all(client.beta.environments.work.list(environment_id));
    id = items.find((item) => item.data.id === session.id)?.id ?? "";
    return id !== "";
  }, "the work to be there");
  return { environment_id, session, id, at: { environment_id } };
}

export const WORK: Readonly<Record<string, Check>> = {
  "environments.work.retrieve": async ({ client, stranger }) => {
    const { id, at, session } = await withWork(client);
    const work = await client.beta.environments.work.retrieve(id, at);
    expect(work).toMatchObject({ type: "work", id, ...at, state: "queued", data: { type: "session", id: session.id } });
    expect(work).toMatchObject({ secret: null, acknowledged_at: null, latest_heartbeat_at: null, metadata: {} });
    await unknown(
      () => client.beta.environments.work.retrieve(NO_WORK, at),
      () => client.beta.environments.work.retrieve(id, { environment_id: NO_ENVIRONMENT }),
      () => stranger.beta.environments.work.retrieve(id, at),
    );
  },
  "environments.work.update": async ({ client, stranger }) => {
    const { id, at } = await withWork(client);
    await client.beta.environments.work.update(id, { ...at, metadata: { a: "b", c: "d" } });
    const changed = await client.beta.environments.work.update(id, { ...at, metadata: { a: null, e: "f" } });
    expect(changed.metadata).toEqual({ c: "d", e: "f" });
    expect(await client.beta.environments.work.retrieve(id, at)).toEqual(changed);
    await unknown(
      () => client.beta.environments.work.update(NO_WORK, { ...at, metadata: {} }),
      () => stranger.beta.environments.work.update(id, { ...at, metadata: {} }),
    );
  },
  "environments.work.list": async ({ client, stranger }) => {
    const { environment_id, ...first } = await withWork(client);
    const made = [first, await withWork(client, environment_id), await withWork(client, environment_id)];
    await paged(made, (limit) => client.beta.environments.work.list(environment_id, { limit }));
    await unknown(
      () => client.beta.environments.work.list(NO_ENVIRONMENT),
      () => stranger.beta.environments.work.list(environment_id),
    );
  },
  "environments.work.poll": async ({ client, stranger }) => {
    const { environment_id, id } = await withWork(client);
    const work = await client.beta.environments.work.poll(environment_id, { block_ms: 500 });
    expect(work).toMatchObject({ id, state: "queued", acknowledged_at: null });
    const secret = JSON.parse(Buffer.from(work?.secret ?? "", "base64url").toString()) as Record<string, string>;
    expect(secret).toMatchObject({ sessions_token: expect.any(String), api_base_url: client.baseURL });
    expect(await client.beta.environments.work.poll(environment_id)).toBeNull();
    const began = Date.now();
    expect(await client.beta.environments.work.poll(environment_id, { block_ms: 900 })).toBeNull();
    expect(Date.now() - began).toBeGreaterThanOrEqual(850);
    const again = await client.beta.environments.work.poll(environment_id, { reclaim_older_than_ms: 0 });
    expect(again?.id).toBe(id);
    await refused(400, () => client.beta.environments.work.poll(environment_id, { block_ms: 1000 }));
    await unknown(
      () => client.beta.environments.work.poll(NO_ENVIRONMENT),
      () => stranger.beta.environments.work.poll(environment_id),
    );
  },
  "environments.work.ack": async ({ client, stranger }) => {
    const { environment_id, id, at } = await withWork(client);
    await refused(409, () => client.beta.environments.work.ack(id, at));
    await client.beta.environments.work.poll(environment_id);
    const work = await client.beta.environments.work.ack(id, at);
    expect(work).toMatchObject({ state: "starting", acknowledged_at: expect.any(String), secret: null });
    expect(await client.beta.environments.work.ack(id, at)).toEqual(work);
    expect(await client.beta.environments.work.poll(environment_id, { reclaim_older_than_ms: 0 })).toBeNull();
    await unknown(
      () => client.beta.environments.work.ack(NO_WORK, at),
      () => stranger.beta.environments.work.ack(id, at),
    );
  },
  "environments.work.heartbeat": async ({ client, stranger }) => {
    const { environment_id, id, at } = await withWork(client);
    const { work } = client.beta.environments;
    await refused(409, () => work.heartbeat(id, at));
    await work.poll(environment_id);
    await work.ack(id, at);
    const first = await work.heartbeat(id, { ...at, expected_last_heartbeat: "NO_HEARTBEAT", desired_ttl_seconds: 60 });
    expect(first).toMatchObject({ type: "work_heartbeat", lease_extended: true, state: "active", ttl_seconds: 60 });
    const second = await work.heartbeat(id, { ...at, expected_last_heartbeat: first.last_heartbeat });
    expect(second.last_heartbeat > first.last_heartbeat).toBe(true);
    for (const expected_last_heartbeat of ["NO_HEARTBEAT", first.last_heartbeat]) {
      const error: unknown = await work.heartbeat(id, { ...at, expected_last_heartbeat }).then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(BetaHeartbeatPreconditionFailedError);
      expect((error as BetaHeartbeatPreconditionFailedError).details).toMatchObject({
        error_code: "heartbeat_precondition_failed",
        current_state: { last_heartbeat: second.last_heartbeat, state: "active", lease_extended: false },
      });
    }
    await work.stop(id, at);
    expect(await work.heartbeat(id, { ...at, expected_last_heartbeat: "NO_HEARTBEAT" })).toMatchObject({
      state: "stopping",
      lease_extended: true,
    });
    await work.stop(id, { ...at, force: true });
    expect(await work.heartbeat(id, at)).toMatchObject({ state: "stopped", lease_extended: false });
    await unknown(
      () => work.heartbeat(NO_WORK, at),
      () => stranger.beta.environments.work.heartbeat(id, at),
    );
  },
  "environments.work.stop": async ({ client, stranger }) => {
    const { id, at, session } = await withWork(client);
    await unknown(
      () => client.beta.environments.work.stop(NO_WORK, at),
      () => stranger.beta.environments.work.stop(id, at),
    );
    await client.beta.sessions.events.send(session.id, { events: [{ type: "user.interrupt" }] });
    await untilIdle(client, session.id);
    const stopped = await client.beta.environments.work.stop(id, at);
    expect(stopped).toMatchObject({ state: "stopped", stop_requested_at: expect.any(String) });
    expect(stopped.stopped_at).not.toBeNull();
    await refused(409, () => client.beta.environments.work.stop(id, at));
    expect(await all(client.beta.environments.work.list(at.environment_id))).toHaveLength(1);
  },
  "environments.work.stats": async ({ client, stranger }) => {
    const { environment_id, id } = await withWork(client);
    const { created_at } = await client.beta.environments.work.retrieve(id, { environment_id });
    expect(await client.beta.environments.work.stats(environment_id)).toEqual({
      type: "work_queue_stats",
      depth: 1,
      pending: 0,
      oldest_queued_at: created_at,
      workers_polling: 0,
    });
    for (const worker of ["a", "b", "a"])
      await client.beta.environments.work.poll(environment_id, { "Anthropic-Worker-ID": worker });
    expect(await client.beta.environments.work.stats(environment_id)).toMatchObject({
      depth: 0,
      pending: 1,
      workers_polling: 2,
    });
    await unknown(
      () => client.beta.environments.work.stats(NO_ENVIRONMENT),
      () => stranger.beta.environments.work.stats(environment_id),
    );
  },
  "environments.work.poller": async ({ gantry, client }) => {
    const { environment_id, id, session, at } = await withWork(client);
    const options = { environmentId: environment_id, environmentKey: gantry.key, drain: true };
    for await (const work of client.beta.environments.work.poller(options)) {
      expect(work).toMatchObject({ id, data: { id: session.id } });
      expect((await client.beta.environments.work.retrieve(id, at)).state).toBe("starting");
      await client.beta.sessions.events.send(session.id, { events: [{ type: "user.interrupt" }] });
      await untilIdle(client, session.id);
    }
    expect((await client.beta.environments.work.retrieve(id, at)).state).toBe("stopped");
  },
  "environments.work.worker": async ({ gantry, client }) => {
    const workdir = mkdtempSync(join(tmpdir(), "gantry-worker-"));
    const ended = new AbortController();
    try {
      const { environment_id, id, session, at } = await withWork(client, undefined, "echo hi > there.txt");
      const options = { environmentId: environment_id, environmentKey: gantry.key, workdir, maxIdleMs: 500 };
      const running = client.beta.environments.work.worker(options).run(ended.signal);
      await untilIdle(client, session.id);
      expect(existsSync(join(workdir, "there.txt"))).toBe(true);
      expect(existsSync(join(gantry.workspace(session.id), "there.txt"))).toBe(false);
      const stateOf = async () => (await client.beta.environments.work.retrieve(id, at)).state;
      await until(async () => (await stateOf()) === "stopped", "the worker to let go of it");
      ended.abort();
      await running.catch(() => undefined);
    } finally {
      ended.abort();
      rmSync(workdir, { recursive: true, force: true });
    }
  },
};
