import { ConflictError, toFile } from "@anthropic-ai/sdk";
import { expect } from "vitest";
import { all } from "../kit/anthropic.ts";
import { NOBODY, makeAgent, makeEnvironment, paged, refused, unknown } from "./context.ts";
import type { Check } from "./context.ts";

/** Agents, environments and files. */

const NO_AGENT = `agent_${NOBODY}`;
const NO_ENVIRONMENT = `env_${NOBODY}`;
const NO_FILE = `file_${NOBODY}`;

export const AGENTS: Readonly<Record<string, Check>> = {
  "agents.create": async ({ client }) => {
    const agent = await makeAgent(client, {
      description: "d",
      system: "s",
      metadata: { a: "b" },
      tools: [{ type: "agent_toolset_20260401" }],
      mcp_servers: [],
      skills: [],
    });
    expect(agent).toMatchObject({ type: "agent", version: 1, name: "Tester", system: "s", metadata: { a: "b" } });
    await refused(400, () => client.beta.agents.create({ name: "", model: "demo/x" }));
    await refused(400, () => client.beta.agents.create({ name: "x", model: "nobody/x" }));
  },
  "agents.retrieve": async ({ client, stranger }) => {
    const agent = await makeAgent(client);
    await client.beta.agents.update(agent.id, { name: "Second", version: 1 });
    expect(await client.beta.agents.retrieve(agent.id)).toMatchObject({ name: "Second", version: 2 });
    expect(await client.beta.agents.retrieve(agent.id, { version: 1 })).toEqual(agent);
    await unknown(
      () => client.beta.agents.retrieve(NO_AGENT),
      () => stranger.beta.agents.retrieve(agent.id),
      () => client.beta.agents.retrieve(agent.id, { version: 9 }),
    );
  },
  "agents.update": async ({ client, stranger }) => {
    const agent = await makeAgent(client, { metadata: { a: "1" } });
    const changed = await client.beta.agents.update(agent.id, { system: "new", metadata: { b: "2" }, version: 1 });
    expect(changed).toMatchObject({ version: 2, system: "new", metadata: { a: "1", b: "2" }, name: "Tester" });
    await expect(client.beta.agents.update(agent.id, { name: "late", version: 1 })).rejects.toBeInstanceOf(
      ConflictError,
    );
    await unknown(
      () => client.beta.agents.update(NO_AGENT, { name: "x", version: 1 }),
      () => stranger.beta.agents.update(agent.id, { name: "x", version: 2 }),
    );
  },
  "agents.list": async ({ client, stranger }) => {
    const made = [await makeAgent(client), await makeAgent(client), await makeAgent(client)];
    await paged(made, (limit) => client.beta.agents.list({ limit }));
    await client.beta.agents.archive(made[0]?.id ?? "");
    const ids = async (params: object) => (await all(client.beta.agents.list(params))).map(({ id }) => id);
    expect(await ids({})).not.toContain(made[0]?.id);
    expect(await ids({ include_archived: true })).toContain(made[0]?.id);
    const at = made[1]?.created_at;
    expect(await ids({ "created_at[gte]": at })).not.toContain(made[0]?.id);
    expect(await ids({ "created_at[lte]": at })).not.toContain(made[2]?.id);
    const theirs = (await all(stranger.beta.agents.list())).map(({ id }) => id);
    expect(theirs).not.toContain(made[1]?.id);
  },
  "agents.archive": async ({ client, stranger }) => {
    const agent = await makeAgent(client);
    await unknown(
      () => stranger.beta.agents.archive(agent.id),
      () => client.beta.agents.archive(NO_AGENT),
    );
    const archived = await client.beta.agents.archive(agent.id);
    expect(archived.archived_at).not.toBeNull();
    expect(await client.beta.agents.archive(agent.id)).toEqual(archived);
    const environment = await makeEnvironment(client);
    await refused(400, () => client.beta.sessions.create({ agent: agent.id, environment_id: environment.id }));
  },
  "agents.versions.list": async ({ client, stranger }) => {
    const agent = await makeAgent(client);
    for (const version of [1, 2, 3]) await client.beta.agents.update(agent.id, { name: `v${version + 1}`, version });
    const versions = await all(client.beta.agents.versions.list(agent.id, { limit: 2 }));
    expect(versions.map(({ version }) => version)).toEqual([4, 3, 2, 1]);
    expect(versions.at(-1)).toEqual(agent);
    await unknown(
      () => client.beta.agents.versions.list(NO_AGENT),
      () => stranger.beta.agents.versions.list(agent.id),
    );
  },
};

export const ENVIRONMENTS: Readonly<Record<string, Check>> = {
  "environments.create": async ({ client }) => {
    const environment = await client.beta.environments.create({ name: "e", description: "d", metadata: { a: "b" } });
    expect(environment).toMatchObject({ type: "environment", name: "e", description: "d", metadata: { a: "b" } });
    await refused(400, () => client.beta.environments.create({ name: "" }));
  },
  "environments.retrieve": async ({ client, stranger }) => {
    const environment = await makeEnvironment(client);
    expect(await client.beta.environments.retrieve(environment.id)).toEqual(environment);
    await unknown(
      () => client.beta.environments.retrieve(NO_ENVIRONMENT),
      () => stranger.beta.environments.retrieve(environment.id),
    );
  },
  "environments.update": async ({ client, stranger }) => {
    const environment = await makeEnvironment(client);
    const changed = await client.beta.environments.update(environment.id, { name: "new", metadata: { a: "b" } });
    expect(changed).toMatchObject({ id: environment.id, name: "new", metadata: { a: "b" } });
    expect(await client.beta.environments.retrieve(environment.id)).toEqual(changed);
    await unknown(
      () => client.beta.environments.update(NO_ENVIRONMENT, { name: "x" }),
      () => stranger.beta.environments.update(environment.id, { name: "x" }),
    );
  },
  "environments.list": async ({ client, stranger }) => {
    const made = [await makeEnvironment(client), await makeEnvironment(client), await makeEnvironment(client)];
    await paged(made, (limit) => client.beta.environments.list({ limit }));
    const [first] = made;
    await client.beta.environments.archive(first?.id ?? "");
    const ids = async (params: object) => (await all(client.beta.environments.list(params))).map(({ id }) => id);
    expect(await ids({})).not.toContain(first?.id);
    expect(await ids({ include_archived: true })).toContain(first?.id);
    expect((await all(stranger.beta.environments.list())).map(({ id }) => id)).not.toContain(made[1]?.id);
  },
  "environments.delete": async ({ client, stranger }) => {
    const environment = await makeEnvironment(client);
    await unknown(() => stranger.beta.environments.delete(environment.id));
    expect(await client.beta.environments.delete(environment.id)).toEqual({
      id: environment.id,
      type: "environment_deleted",
    });
    await unknown(
      () => client.beta.environments.retrieve(environment.id),
      () => client.beta.environments.delete(environment.id),
    );
  },
  "environments.archive": async ({ client, stranger }) => {
    const environment = await makeEnvironment(client);
    await unknown(
      () => client.beta.environments.archive(NO_ENVIRONMENT),
      () => stranger.beta.environments.archive(environment.id),
    );
    expect((await client.beta.environments.archive(environment.id)).archived_at).not.toBeNull();
    const agent = await makeAgent(client);
    await refused(400, () => client.beta.sessions.create({ agent: agent.id, environment_id: environment.id }));
  },
};

export const FILES: Readonly<Record<string, Check>> = {
  "files.upload": async ({ client }) => {
    const file = await client.beta.files.upload({ file: await toFile(Buffer.from("hello"), "a.txt") });
    expect(file).toMatchObject({ type: "file", filename: "a.txt", size_bytes: 5, mime_type: "text/plain" });
  },
  "files.retrieveMetadata": async ({ client, stranger }) => {
    const file = await client.beta.files.upload({ file: await toFile(Buffer.from("x"), "b.txt") });
    expect(await client.beta.files.retrieveMetadata(file.id)).toEqual(file);
    await unknown(
      () => client.beta.files.retrieveMetadata(NO_FILE),
      () => stranger.beta.files.retrieveMetadata(file.id),
    );
  },
  "files.download": async ({ client, stranger }) => {
    const bytes = Buffer.from([0, 255, 10, 13, 128]);
    const file = await client.beta.files.upload({ file: await toFile(bytes, "c.bin") });
    const response = await client.beta.files.download(file.id);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
    await unknown(
      () => client.beta.files.download(NO_FILE),
      () => stranger.beta.files.download(file.id),
    );
  },
  "files.list": async ({ client, stranger }) => {
    const made = [];
    for (const name of ["1", "2", "3"])
      made.push(await client.beta.files.upload({ file: await toFile(Buffer.from(name), name) }));
    await paged(made, (limit) => client.beta.files.list({ limit }));
    const ids = [made[0]?.id ?? "", NO_FILE];
    expect((await all(client.beta.files.list({ ids }))).map(({ id }) => id)).toEqual([made[0]?.id]);
    expect(await all(client.beta.files.list({ scope_id: `sesn_${NOBODY}` }))).toEqual([]);
    expect(await all(stranger.beta.files.list({ ids }))).toEqual([]);
  },
  "files.delete": async ({ client, stranger }) => {
    const file = await client.beta.files.upload({ file: await toFile(Buffer.from("x"), "d.txt") });
    await unknown(() => stranger.beta.files.delete(file.id));
    expect(await client.beta.files.delete(file.id)).toEqual({ id: file.id, type: "file_deleted" });
    await unknown(
      () => client.beta.files.delete(file.id),
      () => client.beta.files.download(file.id),
    );
  },
};
