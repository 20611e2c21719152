import type Anthropic from "@anthropic-ai/sdk";
import { APIError, ConflictError, NotFoundError, toFile } from "@anthropic-ai/sdk";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry } from "../kit/gantry.ts";
import { makeKey, refused } from "../kit/keys.ts";

/** Agents, environments and files, through Anthropic's own SDK where it has a method for them. */

let gantry: Gantry;
let client: Anthropic;

beforeAll(async () => {
  gantry = await Gantry.start();
  client = clientOf(gantry, gantry.key);
});
afterAll(() => gantry.remove());

const AGENT = { model: "demo/scripted", name: "Tester" };

describe("agents", () => {
  it("are stored with everything filled in", async () => {
    const agent = await client.beta.agents.create({
      ...AGENT,
      model: { id: "demo/scripted", effort: "high" },
      description: "Tests things",
      system: "You test.",
      metadata: { team: "a" },
      mcp_servers: [{ type: "url", name: "docs", url: "https://example.com/mcp" }],
      tools: [
        {
          type: "agent_toolset_20260401",
          default_config: { permission_policy: { type: "always_ask" } },
          configs: [
            { name: "bash", enabled: false },
            { name: "web_fetch", url_sources: { user_input: "none" }, allowed_domains: ["example.com"] },
          ],
        },
        { type: "mcp_toolset", mcp_server_name: "docs" },
        {
          type: "custom",
          name: "weather",
          description: "Tells it",
          input_schema: { type: "object", $comment: "kept" },
        },
      ],
      skills: [{ type: "anthropic", skill_id: "xlsx" }],
      betas: ["managed-agents-2026-04-01"],
      workspace_id: "wrkspc_x",
    });
    const ask = { type: "always_ask" };
    expect(agent).toMatchObject({
      type: "agent",
      id: expect.stringMatching(/^agent_/),
      version: 1,
      name: "Tester",
      description: "Tests things",
      system: "You test.",
      model: { id: "demo/scripted", effort: { type: "high" }, speed: "standard" },
      metadata: { team: "a" },
      archived_at: null,
      multiagent: null,
      execution_identity: { type: "service_account" },
      skills: [{ type: "anthropic", skill_id: "xlsx", version: "latest" }],
      tools: [
        {
          type: "agent_toolset_20260401",
          default_config: { enabled: true, permission_policy: ask },
          configs: [
            { name: "bash", type: "bash", enabled: false, permission_policy: ask },
            {
              name: "web_fetch",
              enabled: true,
              allowed_domains: ["example.com"],
              url_sources: { user_input: { type: "none" }, client_tool_results: null, server_tool_results: null },
            },
          ],
        },
        { type: "mcp_toolset", default_config: { enabled: true, permission_policy: ask }, configs: [] },
        { type: "custom", name: "weather", input_schema: { type: "object", $comment: "kept" } },
      ],
    });
    expect(Date.parse(agent.created_at)).toBeGreaterThan(Date.now() - 60_000);
    expect(await client.beta.agents.retrieve(agent.id)).toEqual(agent);
  });

  it("change in versions, of which each stays", async () => {
    const first = await client.beta.agents.create({ ...AGENT, system: "one", metadata: { a: "1", b: "2" } });
    const second = await client.beta.agents.update(first.id, {
      system: "two",
      metadata: { a: null, c: "3" },
      version: 1,
    });
    expect(second).toMatchObject({ version: 2, system: "two", name: "Tester", metadata: { b: "2", c: "3" } });
    const third = await client.beta.agents.update(first.id, { system: null, model: { id: "demo/x", effort: "low" } });
    expect(third).toMatchObject({ version: 3, system: null, model: { id: "demo/x", effort: { type: "low" } } });
    expect((await client.beta.agents.update(first.id, { model: "demo/y" })).model.effort).toEqual({ type: "low" });
    const same = await client.beta.agents.update(first.id, { model: { id: "demo/y" } });
    expect(same.version).toBe(4);
    expect(await client.beta.agents.retrieve(first.id, { version: 1 })).toEqual(first);
    await expect(client.beta.agents.retrieve(first.id, { version: 5 })).rejects.toThrow(NotFoundError);
    const versions: number[] = [];
    for await (const version of client.beta.agents.versions.list(first.id, { limit: 2 }))
      versions.push(version.version);
    expect(versions).toEqual([4, 3, 2, 1]);
  });

  it("refuse a change that was made from an older version, and lose none of many at once", async () => {
    const agent = await client.beta.agents.create(AGENT);
    await client.beta.agents.update(agent.id, { name: "Newer" });
    await expect(client.beta.agents.update(agent.id, { name: "Late", version: 1 })).rejects.toThrow(ConflictError);
    const both = await Promise.allSettled(
      ["x", "y"].map((name) => client.beta.agents.update(agent.id, { name, version: 2 })),
    );
    expect(both.map((one) => one.status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await Promise.all(["p", "q", "r"].map((key) => client.beta.agents.update(agent.id, { metadata: { [key]: key } })));
    expect(await client.beta.agents.retrieve(agent.id)).toMatchObject({
      version: 6,
      metadata: { p: "p", q: "q", r: "r" },
    });
  });

  it("are archived once and for all", async () => {
    const agent = await client.beta.agents.create(AGENT);
    const archived = await client.beta.agents.archive(agent.id);
    expect(archived.archived_at).not.toBeNull();
    expect(await client.beta.agents.archive(agent.id)).toEqual(archived);
    await expect(client.beta.agents.update(agent.id, { name: "x" })).rejects.toMatchObject({ status: 400 });
    const ids = async (include_archived: boolean): Promise<string[]> =>
      (await client.beta.agents.list({ include_archived, limit: 100 })).data.map(({ id }) => id);
    expect(await ids(false)).not.toContain(agent.id);
    expect(await ids(true)).toContain(agent.id);
  });

  it("name others with the version they have now", async () => {
    const worker = await client.beta.agents.create(AGENT);
    const lead = await client.beta.agents.create({
      ...AGENT,
      multiagent: { type: "coordinator", agents: [worker.id, { type: "self" }, { type: "advisor", model: "demo/x" }] },
    });
    expect(lead.multiagent).toEqual({
      type: "coordinator",
      agents: [
        { type: "agent", id: worker.id, version: 1 },
        { type: "agent", id: lead.id, version: 1 },
        { type: "advisor", model: "demo/x" },
      ],
    });
    const wide = await client.beta.agents.update(lead.id, {
      multiagent: { type: "multiagent_20261001", subagents: { type: "enabled", predefined_agents: [worker.id] } },
    });
    expect(wide.multiagent).toEqual({
      type: "multiagent_20261001",
      advisor: { type: "disabled" },
      subagents: {
        type: "enabled",
        inline_agents: { type: "enabled" },
        predefined_agents: [{ type: "agent", id: worker.id, version: 1 }],
      },
      workflows: { type: "enabled", inline_agents: { type: "enabled" }, predefined_agents: [] },
    });
    for (const agents of [[lead.id], ["agent_nobody"], [worker.id, worker.id]])
      await expect(
        client.beta.agents.create({ ...AGENT, multiagent: { type: "coordinator", agents } }),
      ).rejects.toMatchObject({ status: 400 });
  });

  it.each([
    ["an unknown field", { ...AGENT, modle: 1 }, "modle", "unknown field"],
    ["an unknown field deep inside", { ...AGENT, tools: [{ type: "custom", nme: 1 }] }, "tools[0].name", ""],
    [
      "an unknown field in one of two forms",
      { ...AGENT, model: { id: "demo/x", efort: "low" } },
      "model.efort",
      "unknown field",
    ],
    ["a wrong value in one of two forms", { ...AGENT, model: { id: "demo/x", speed: "warp" } }, "model.speed", ""],
    ["a wrong type", { ...AGENT, name: 7 }, "name", "string"],
    ["no model", { name: "x" }, "model", ""],
    ["a model that no route takes", { ...AGENT, model: "nobody/x" }, "model", "routes are"],
    ["an empty name", { ...AGENT, name: "" }, "name", ""],
    [
      "a server without tools",
      { ...AGENT, mcp_servers: [{ type: "url", name: "a", url: "https://a.example" }] },
      "mcp_servers[0]",
      "mcp_toolset",
    ],
    [
      "tools of no server",
      { ...AGENT, tools: [{ type: "mcp_toolset", mcp_server_name: "a" }] },
      "tools[0].mcp_server_name",
      "",
    ],
    [
      "a server that is a file",
      { ...AGENT, mcp_servers: [{ type: "url", name: "a", url: "file:///etc/passwd" }] },
      "mcp_servers[0].url",
      "",
    ],
    [
      "17 pairs of metadata",
      { ...AGENT, metadata: Object.fromEntries([...Array(17).keys()].map((i) => [`k${i}`, "v"])) },
      "metadata",
      "16",
    ],
    [
      "another cloud's identity",
      { ...AGENT, execution_identity: { type: "aws_role", role_arn: "arn" } },
      "execution_identity",
      "",
    ],
  ])("refuse %s by name", async (_name, body, field, says) => {
    const [status, answer] = await refused(gantry, "/v1/agents", { method: "POST", body: JSON.stringify(body) });
    expect([status, answer.error["type"]]).toEqual([400, "invalid_request_error"]);
    expect(String(answer.error["param"])).toContain(field);
    expect(answer.error["message"]).toContain(says);
  });

  it("refuse bytes that are not UTF-8, and unknown parameters", async () => {
    const bytes = new Uint8Array([...Buffer.from('{"model":"demo/scripted","name":"'), 0xff, 0xfe, 0x22, 0x7d]);
    expect(await refused(gantry, "/v1/agents", { method: "POST", body: bytes })).toMatchObject([
      400,
      { error: { message: expect.stringContaining("UTF-8") } },
    ]);
    for (const [query, field] of [
      ["limits=3", "limits"],
      ["limit=0", "limit"],
      ["limit=x", "limit"],
      ["page=x", "page"],
      ["created_at[gte]=soon", "created_at[gte]"],
    ] as const)
      expect(await refused(gantry, `/v1/agents?${query}`)).toMatchObject([400, { error: { param: field } }]);
  });
});

describe("lists", () => {
  it("page over more than fifty in both directions, while others are added", async () => {
    const { key } = await makeKey(gantry, { scopes: ["admin"], account: "pages" });
    const mine = clientOf(gantry, key);
    for (let i = 0; i < 55; i++) await mine.beta.agents.create({ ...AGENT, name: `n${i}` });
    const all: string[] = [];
    for await (const agent of mine.beta.agents.list({ limit: 20 })) all.push(agent.name);
    expect(all).toEqual([...Array(55).keys()].toReversed().map((i) => `n${i}`));

    type AgentPage = { data: { name: string }[]; next_page: string | null; prev_page: string | null };
    const page = async (cursor: string | null): Promise<AgentPage> => {
      const query = cursor === null ? "" : `&page=${cursor}`;
      const response = await fetch(`${gantry.url}/v1/agents?limit=20${query}`, { headers: { "x-api-key": key } });
      return (await response.json()) as AgentPage;
    };
    const first = await page(null);
    expect(first.prev_page).toBeNull();
    const second = await page(first.next_page);
    await mine.beta.agents.create({ ...AGENT, name: "added" });
    const third = await page(second.next_page);
    expect(third.next_page).toBeNull();
    const names = (one: AgentPage): string[] => one.data.map(({ name }) => name);
    expect([first, second, third].flatMap(names)).toEqual(all);
    const back = await page(third.prev_page);
    expect(names(back)).toEqual(names(second));
    const start = await page(back.prev_page);
    expect(names(start)).toEqual(names(first));
    const before = await page(start.prev_page);
    expect(names(before)).toEqual(["added"]);
    expect(before.prev_page).toBeNull();
    expect(names(await page(before.next_page))).toEqual(names(first));

    const times = (await mine.beta.agents.list({ limit: 30 })).data.map((agent) => agent.created_at);
    const [to, from] = [times[3] ?? "", times[8] ?? ""];
    const between = await mine.beta.agents.list({ "created_at[gte]": from, "created_at[lte]": to, limit: 100 });
    expect(between.data.map((agent) => agent.created_at)).toEqual(times.filter((time) => time >= from && time <= to));
  });
});

describe("environments", () => {
  it("are stored with everything filled in, and change", async () => {
    const plain = await client.beta.environments.create({ name: "plain" });
    const none = { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };
    expect(plain).toMatchObject({
      type: "environment",
      id: expect.stringMatching(/^env_/),
      name: "plain",
      description: null,
      metadata: {},
      archived_at: null,
      config: { type: "cloud", networking: { type: "unrestricted" }, packages: none },
    });
    expect(await client.beta.environments.retrieve(plain.id)).toEqual(plain);
    const limited = await client.beta.environments.update(plain.id, {
      description: "shut",
      metadata: { a: "1", b: "2" },
      config: {
        type: "cloud",
        networking: { type: "limited", allowed_hosts: ["example.com"], allow_package_managers: true },
        packages: { pip: ["pandas==2.2.0"] },
      },
    });
    expect(limited.config).toEqual({
      type: "cloud",
      networking: {
        type: "limited",
        allowed_hosts: ["example.com"],
        allow_package_managers: true,
        allow_mcp_servers: false,
      },
      packages: { ...none, pip: ["pandas==2.2.0"] },
    });
    const again = await client.beta.environments.update(plain.id, {
      metadata: { a: "", b: null, c: "3" },
      config: { type: "cloud", packages: { npm: ["zod"] } },
    });
    expect(again).toMatchObject({
      description: "shut",
      metadata: { c: "3" },
      config: { networking: { allowed_hosts: ["example.com"] }, packages: { npm: ["zod"], pip: ["pandas==2.2.0"] } },
    });
    expect(again.metadata).toEqual({ c: "3" });
  });

  it("refuse what does not fit, with the SDK's own error classes", async () => {
    const environment = await client.beta.environments.create({ name: "x" });
    await expect(
      client.beta.environments.update(environment.id, { config: { type: "self_hosted" } }),
    ).rejects.toMatchObject({ status: 400, errorCode: "invalid_config_type_change" });
    await client.beta.environments.archive(environment.id);
    await expect(client.beta.environments.update(environment.id, { name: "y" })).rejects.toMatchObject({
      status: 400,
      errorCode: "environment_archived",
    });
    await expect(client.beta.environments.retrieve("env_nobody")).rejects.toMatchObject({
      status: 404,
      errorCode: "environment_not_found",
    });
    const closed = { type: "limited" as const };
    for (const config of [
      { type: "cloud" as const, networking: closed, packages: { apt: ["git"] } },
      { type: "cloud" as const, packages: { apt: ["--allow-anything"] } },
      { type: "cloud" as const, networking: { ...closed, allowed_hosts: ["https://example.com/"] } },
    ])
      await expect(client.beta.environments.create({ name: "x", config })).rejects.toMatchObject({ status: 400 });
  });

  it("are listed, archived and deleted", async () => {
    const { key } = await makeKey(gantry, { scopes: ["agents"], account: "environments" });
    const mine = clientOf(gantry, key).beta.environments;
    const [a, b] = [await mine.create({ name: "a" }), await mine.create({ name: "b" })];
    await mine.archive(a.id);
    expect((await mine.list()).data.map(({ name }) => name)).toEqual(["b"]);
    expect((await mine.list({ include_archived: true })).data.map(({ name }) => name)).toEqual(["b", "a"]);
    expect(await mine.delete(b.id)).toEqual({ id: b.id, type: "environment_deleted" });
    await expect(mine.retrieve(b.id)).rejects.toThrow(NotFoundError);
    await expect(mine.delete(b.id)).rejects.toThrow(NotFoundError);
  });
});

describe("files", () => {
  it.each([
    ["nothing", 0],
    ["a few bytes", 5],
    ["exactly a part", 8 * 1024 * 1024],
    ["several parts", 20 * 1024 * 1024 + 7],
  ])("of %s come back byte for byte", async (_name, size) => {
    const bytes = Buffer.alloc(size, "0123456789\r\n--\r\n");
    const file = await client.beta.files.upload({ file: await toFile(bytes, 'some/where/daten ä"1.csv') });
    expect(file).toMatchObject({
      type: "file",
      id: expect.stringMatching(/^file_/),
      filename: 'daten ä"1.csv',
      mime_type: "text/csv",
      size_bytes: size,
      expires_at: null,
      downloadable: true,
    });
    const response = await client.beta.files.download(file.id);
    const back = Buffer.from(await response.arrayBuffer());
    expect(back.equals(bytes)).toBe(true);
    expect(response.headers.get("etag")).toBe(`"${createHash("sha256").update(bytes).digest("hex")}"`);
    expect(response.headers.get("content-disposition")).toMatch(
      /^attachment; filename="daten __1.csv"; filename\*=UTF-8''/,
    );
    expect(await client.beta.files.retrieveMetadata(file.id)).toEqual(file);
    expect(await client.beta.files.delete(file.id)).toEqual({ id: file.id, type: "file_deleted" });
    await expect(client.beta.files.download(file.id)).rejects.toThrow(NotFoundError);
    await expect(client.beta.files.delete(file.id)).rejects.toThrow(NotFoundError);
  });

  it("are listed by page and by id, and may expire", async () => {
    const { key } = await makeKey(gantry, { scopes: ["files"], account: "files" });
    const mine = clientOf(gantry, key).beta.files;
    const ids: string[] = [];
    for (let i = 0; i < 5; i++)
      ids.unshift((await mine.upload({ file: await toFile(Buffer.from("x"), `${i}.txt`) })).id);
    const seen: string[] = [];
    for await (const file of mine.list({ limit: 2 })) seen.push(file.id);
    expect(seen).toEqual(ids);
    const two = [ids[1] ?? "", ids[3] ?? ""];
    expect((await mine.list({ ids: [...two, "file_nobody"] })).data.map(({ id }) => id)).toEqual(two);
    expect((await mine.list({ scope_id: "sesn_x" })).data).toEqual([]);
    const file = await mine.upload({ file: await toFile(Buffer.from("x"), ""), expires_in_seconds: 3600 });
    expect(Date.parse(file.expires_at ?? "") - Date.parse(file.created_at)).toBeGreaterThanOrEqual(3600_000);
    expect(file.filename).toMatch(/^unnamed/);
  });

  it("that are half sent when the client goes away are not there", async () => {
    const { key } = await makeKey(gantry, { scopes: ["files"], account: "half" });
    const gone = new AbortController();
    const half = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('--b\r\ncontent-disposition: form-data; name="file"; filename="half"\r\n\r\n');
      for (let i = 0; i < 20; i++) yield new Uint8Array(1024 * 1024);
      gone.abort();
    };
    const sent = fetch(`${gantry.url}/v1/files`, {
      method: "POST",
      headers: { "x-api-key": key, "content-type": "multipart/form-data; boundary=b" },
      body: ReadableStream.from(half()),
      duplex: "half",
      signal: gone.signal,
    });
    await expect(sent).rejects.toThrow("aborted");
    const mine = clientOf(gantry, key).beta.files;
    await mine.upload({ file: await toFile(Buffer.from("x"), "whole") });
    expect((await mine.list()).data.map(({ filename }) => filename)).toEqual(["whole"]);
  });

  it("refuse what is not a form with one file, and keep nothing of it", async () => {
    const { key } = await makeKey(gantry, { scopes: ["files"], account: "forms" });
    const send = async (body: string | FormData, type?: string): Promise<[number, string]> => {
      const headers = { "x-api-key": key, ...(type === undefined ? {} : { "content-type": type }) };
      const response = await fetch(`${gantry.url}/v1/files`, { method: "POST", body, headers });
      return [response.status, JSON.stringify(await response.json())];
    };
    const form = (...fields: [string, string | Blob][]): FormData => {
      const data = new FormData();
      for (const [name, value] of fields) data.append(name, value);
      return data;
    };
    const file = new Blob(["x"]);
    expect(await send("{}", "application/json")).toEqual([400, expect.stringContaining("multipart/form-data")]);
    expect(await send(form())).toMatchObject([400, expect.any(String)]);
    expect(await send(form(["purpose", "x"]))).toEqual([400, expect.stringContaining("file: is required")]);
    expect(await send(form(["file", file], ["purpose", "x"]))).toEqual([
      400,
      expect.stringContaining("purpose: unknown field"),
    ]);
    expect(await send(form(["file", file], ["file", file]))).toEqual([
      400,
      expect.stringContaining("file: is there twice"),
    ]);
    expect(await send(form(["file", file], ["expires_in_seconds", "60"]))).toEqual([
      400,
      expect.stringContaining("expires_in_seconds"),
    ]);
    const large = new Blob([new Uint8Array(20_000_000)]);
    expect(await send(form(["purpose", "x"], ["purpose", "y"], ["file", large]))).toEqual([
      400,
      expect.stringContaining("purpose: is there twice"),
    ]);
    const cut = '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf';
    expect(await send(cut, "multipart/form-data; boundary=b")).toEqual([400, expect.stringContaining("ends before")]);
    expect((await clientOf(gantry, key).beta.files.list()).data).toEqual([]);
  });
});

describe("a restart", () => {
  it("loses nothing", async () => {
    const agent = await client.beta.agents.create(AGENT);
    const updated = await client.beta.agents.update(agent.id, { name: "kept" });
    const environment = await client.beta.environments.create({ name: "kept" });
    const bytes = Buffer.alloc(9 * 1024 * 1024, "kept");
    const file = await client.beta.files.upload({ file: await toFile(bytes, "kept.txt") });
    const { key } = await makeKey(gantry, { scopes: ["read", "files"] });
    gantry.kill("launcher", "workerd");
    await gantry.stop();
    await gantry.start();
    const again = clientOf(gantry, key).beta;
    expect(await again.agents.retrieve(agent.id)).toEqual(updated);
    expect(await again.agents.retrieve(agent.id, { version: 1 })).toEqual(agent);
    expect(await again.environments.retrieve(environment.id)).toEqual(environment);
    expect(await again.files.retrieveMetadata(file.id)).toEqual(file);
    expect(Buffer.from(await (await again.files.download(file.id)).arrayBuffer()).equals(bytes)).toBe(true);
    await expect(again.files.retrieveMetadata("file_x")).rejects.toThrow(APIError);
  });
});
