import type Anthropic from "@anthropic-ai/sdk";
import { NotFoundError, PermissionDeniedError, toFile } from "@anthropic-ai/sdk";
import type { ApiKey, AuditEntry } from "@gantry/protocol/api/keys.ts";
import { ROUTE_NAMES, accessTo } from "@gantry/worker/http/routes/routes.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, until } from "../kit/gantry.ts";
import { makeKey, refused } from "../kit/keys.ts";

/** API keys and their scopes, the audit log, and what each route asks of a key. */

let gantry: Gantry;
let client: Anthropic;

beforeAll(async () => {
  gantry = await Gantry.start();
  client = clientOf(gantry, gantry.key);
});
afterAll(() => gantry.remove());

const AGENT = { model: "demo/scripted", name: "Tester" };

describe("keys", () => {
  it("open their account and nothing else, from birth to revocation", async () => {
    const made = await makeKey(gantry, { name: "ci", scopes: ["read", "agents"], account: "other" });
    expect(made).toMatchObject({ type: "api_key", account: "other", scopes: ["agents", "read"], expires_at: null });
    expect(made.key).toMatch(/^gk_[0-9a-z]{36}_[\w-]{43}$/);
    const other = clientOf(gantry, made.key);
    const [mine, theirs] = [await client.beta.agents.create(AGENT), await other.beta.agents.create(AGENT)];
    await expect(other.beta.agents.retrieve(mine.id)).rejects.toThrow(NotFoundError);
    await expect(client.beta.agents.retrieve(theirs.id)).rejects.toThrow(NotFoundError);
    await expect(other.beta.agents.update(mine.id, { name: "x" })).rejects.toThrow(NotFoundError);
    expect((await other.beta.agents.list()).data.map(({ id }) => id)).toEqual([theirs.id]);
    await expect(other.beta.files.upload({ file: await toFile(Buffer.from("x"), "x") })).rejects.toThrow(
      PermissionDeniedError,
    );

    const listed = async (): Promise<ApiKey | undefined> => {
      const response = await gantry.fetch("/v1/keys?account=other");
      const text = await response.text();
      expect(text).not.toContain(made.key.slice(-43));
      return (JSON.parse(text) as { data: ApiKey[] }).data.find(({ id }) => id === made.id);
    };
    await until(async () => typeof (await listed())?.last_used_at === "string", "the use to be noted");
    const revoked = await gantry.fetch(`/v1/keys/${made.id}?account=other`, { method: "DELETE" });
    expect(await revoked.json()).toEqual({ id: made.id, type: "api_key_deleted" });
    await expect(other.beta.agents.list()).rejects.toMatchObject({ status: 401 });
    expect(await listed()).toBeUndefined();
    expect((await gantry.fetch(`/v1/keys/${made.id}?account=other`, { method: "DELETE" })).status).toBe(404);
  });

  it("run prompts of their own account, whose sessions no other account sees", async () => {
    const [mine, theirs] = [
      await makeKey(gantry, { scopes: ["sessions"], account: "prompts" }),
      await makeKey(gantry, { scopes: ["sessions"], account: "other-prompts" }),
    ];
    const ask = (key: string, path: string, body?: unknown): Promise<Response> =>
      fetch(gantry.url + path, {
        headers: { "x-api-key": key },
        ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      });
    const answer = await ask(mine.key, "/claude-code", { prompt: "What is 7 * 6?", stream: false });
    const { result, sessionId } = (await answer.json()) as { result: string; sessionId: string };
    expect(result).toContain("42");
    const events = `/v1/sessions/${sessionId}/events`;
    expect((await ask(mine.key, events)).status).toBe(200);
    for (const path of [events, `${events}/stream`]) expect((await ask(theirs.key, path)).status).toBe(404);
    const again = await ask(theirs.key, "/claude-code", { prompt: "What did I say?", sessionId, stream: false });
    expect(again.status).toBe(404);
    expect((await gantry.fetch(events)).status).toBe(404);
    expect((await ask(mine.key, "/v1/messages", {})).status).toBe(403);
  });

  it("of an administrator reach their own account only", async () => {
    const { key, id } = await makeKey(gantry, { scopes: ["admin"], account: "tenant" });
    const headers = { "x-api-key": key };
    const ask = (path: string, body?: unknown): Promise<Response> =>
      fetch(gantry.url + path, { headers, ...(body ? { method: "POST", body: JSON.stringify(body) } : {}) });
    expect(await (await ask("/v1/keys", { name: "a", scopes: ["read"] })).json()).toMatchObject({ account: "tenant" });
    expect((await ask("/v1/keys", { name: "a", scopes: ["read"], account: "default" })).status).toBe(400);
    expect((await ask("/v1/keys?account=default")).status).toBe(400);
    const audit = (await (await ask("/v1/audit")).json()) as { data: AuditEntry[] };
    expect(audit.data.map(({ action, key_id, account }) => [action, key_id, account])).toEqual([
      ["key.create", id, "tenant"],
      ["key.create", "admin", "tenant"],
    ]);
  });

  it.each([
    ["no scope", { scopes: [] }, "scopes"],
    ["an unknown scope", { scopes: ["root"] }, "scopes[0]"],
    ["an account that is a path", { scopes: ["read"], account: "../x" }, "account"],
    ["an unknown field", { scopes: ["read"], admin: true }, "admin"],
  ])("refuse %s", async (_name, body, field) => {
    const [status, answer] = await refused(gantry, "/v1/keys", {
      method: "POST",
      body: JSON.stringify({ name: "x", ...body }),
    });
    expect([status, answer.error["param"]]).toEqual([400, field]);
  });
});

describe("the audit log", () => {
  it("has every change once, by whom and in which request", async () => {
    const { key, id } = await makeKey(gantry, { scopes: ["admin"], account: "audited" });
    const mine = clientOf(gantry, key).beta;
    const { data: agent, response } = await mine.agents.create(AGENT).withResponse();
    await mine.agents.update(agent.id, { name: "y" });
    await mine.agents.update(agent.id, { name: "y" });
    await mine.agents.archive(agent.id);
    await mine.agents.archive(agent.id);
    const environment = await mine.environments.create({ name: "x" });
    await mine.environments.update(environment.id, { name: "x" });
    await mine.environments.delete(environment.id);
    const file = await mine.files.upload({ file: await toFile(Buffer.from("x"), "x") });
    await mine.files.delete(file.id);
    const entries: AuditEntry[] = [];
    for (let page: string | null = ""; page !== null;) {
      const answer = await fetch(`${gantry.url}/v1/audit?limit=3&page=${page}`, { headers: { "x-api-key": key } });
      const body = (await answer.json()) as { data: AuditEntry[]; next_page: string | null };
      entries.push(...body.data);
      page = body.next_page;
    }
    expect(entries.toReversed().map(({ action, target, key_id }) => [action, target, key_id])).toEqual([
      ["key.create", id, "admin"],
      ["agent.create", agent.id, id],
      ["agent.update", agent.id, id],
      ["agent.archive", agent.id, id],
      ["environment.create", environment.id, id],
      ["environment.delete", environment.id, id],
      ["file.create", file.id, id],
      ["file.delete", file.id, id],
    ]);
    expect(entries.at(-2)?.request_id).toBe(response.headers.get("request-id"));
  });
});

describe("every route", () => {
  const routes = ROUTE_NAMES.map((name) => name.split(" ") as [method: string, path: string]);
  const closed = routes.filter(([method, path]) => accessTo(method, path) !== "open");
  const keys: Record<string, string | null> = {
    none: null,
    wrong: "gk_wrong",
    unknown: `gk_${"0".repeat(36)}_${"A".repeat(43)}`,
  };
  const things: Record<string, string> = {};

  beforeAll(async () => {
    const expired = await makeKey(gantry, { scopes: ["admin"], expires_in_seconds: 1 });
    const revoked = await makeKey(gantry, { scopes: ["admin"] });
    await clientOf(gantry, revoked.key).beta.agents.list();
    await gantry.fetch(`/v1/keys/${revoked.id}`, { method: "DELETE" });
    await until(() => Date.parse(expired.expires_at ?? "") < Date.now(), "the key to expire");
    const tampered = await makeKey(gantry, { scopes: ["admin"] });
    Object.assign(keys, {
      expired: expired.key,
      revoked: revoked.key,
      tampered: tampered.key.slice(0, -1) + (tampered.key.endsWith("A") ? "B" : "A"),
      "of a session": `gst_sesn_${"0".repeat(36)}.x`,
    });
    things["agents"] = (await client.beta.agents.create(AGENT)).id;
    things["environments"] = (await client.beta.environments.create({ name: "x" })).id;
    things["files"] = (await client.beta.files.upload({ file: await toFile(Buffer.from("x"), "x") })).id;
    things["keys"] = (await makeKey(gantry, { scopes: ["read"] })).id;
    things["sessions"] = (await gantry.run({ prompt: "What is 1 + 1?" })).sessionId;
  });

  const call = (method: string, path: string, key: string | null, thing = "x"): Promise<Response> =>
    fetch(gantry.url + path.replace(/:\w+(\{[^}]*\})?/, thing), {
      method,
      headers: key === null ? {} : { "x-api-key": key },
      ...(method === "POST" ? { body: "{}" } : {}),
    });

  it.each(closed)(
    "%s %s refuses a key that is none, wrong, unknown, changed, expired or revoked",
    async (method, path) => {
      for (const [name, key] of Object.entries(keys))
        expect([name, (await call(method, path, key)).status]).toEqual([name, 401]);
    },
  );

  it("refuses every scope that is not among its own", async () => {
    const scopes = ["agents", "sessions", "models", "files", "read"] as const;
    for (const scope of scopes) {
      const { key } = await makeKey(gantry, { scopes: [scope] });
      for (const [method, path] of closed) {
        const access = accessTo(method, path);
        if (access === "open" || access.includes(scope)) continue;
        const response = await call(method, path, key);
        const status = access === "sandbox" ? 401 : 403;
        expect([scope, method, path, response.status]).toEqual([scope, method, path, status]);
      }
    }
  });

  it("says of another account's things what it says of unknown ones", async () => {
    const { key } = await makeKey(gantry, { scopes: ["admin"], account: "stranger" });
    for (const [method, path] of closed) {
      const kind = /^\/v1\/(\w+)\/:id/.exec(path)?.[1] ?? "";
      const thing = things[kind];
      if (thing === undefined) continue;
      const [theirs, unknown] = [
        await call(method, path, key, thing),
        await call(method, path, key, `${thing.slice(0, -1)}_`),
      ];
      expect([method, path, theirs.status]).toEqual([method, path, unknown.status]);
      expect([400, 404]).toContain(theirs.status);
      // A WebSocket's address says first that it is one.
      const asksFirst = method === "POST" || path.endsWith("/ws");
      if (!asksFirst) expect([method, path, theirs.status]).toEqual([method, path, 404]);
    }
    for (const kind of ["agents", "environments"] as const)
      expect((await gantry.fetch(`/v1/${kind}/${things[kind]}`)).status).toBe(200);
    expect((await gantry.fetch(`/v1/files/${things["files"]}/content`)).status).toBe(200);
  });

  it("that is none needs a key to say so", async () => {
    expect((await call("GET", "/v1/nothing", null)).status).toBe(401);
    expect((await gantry.fetch("/v1/nothing")).status).toBe(404);
    expect((await gantry.fetch("/constructor")).status).toBe(404);
  });
});
