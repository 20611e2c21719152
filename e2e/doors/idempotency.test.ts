import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, rounds, script, until } from "../kit/gantry.ts";

/** `Idempotency-Key`: a request is carried out once, whatever happens to its answer on the way. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
});
afterAll(() => gantry.remove());

let keys = 0;
const newKey = (): string => `key-${++keys}-${Math.random()}`;

/** Sends a body under a key. */
function send(path: string, key: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const headers = { "idempotency-key": key, ...(init.headers as Record<string, string>) };
  return gantry.fetch(path, {
    method: "POST",
    ...init,
    headers,
    body: typeof body === "string" || body instanceof FormData ? body : JSON.stringify(body),
  });
}

const replayed = (response: Response): boolean => response.headers.get("idempotent-replayed") === "true";

/** Leaves a line in the workspace each time it is run. */
const effect = (seconds = 0): string =>
  script(
    { tool: "Bash", input: { command: `echo ran >> effects; for i in $(seq ${seconds * 10}); do sleep 0.1; done` } },
    { text: "done" },
  );
const effects = (sessionId: string): number =>
  readFileSync(join(gantry.workspace(sessionId), "effects"), "utf8")
    .trim()
    .split("\n").length;

describe("a repeated request", () => {
  it.each([
    ["/v1/agents", { name: "A", model: "demo/scripted" }],
    ["/v1/environments", { name: "E" }],
    [
      "/v1/sessions",
      { title: "S", initial_events: [{ type: "user.message", content: [{ type: "text", text: "hi" }] }] },
    ],
    ["/v1/keys", { name: "K", scopes: ["read"] }],
    ["/claude-code", { prompt: "What is 7 * 6?", stream: false }],
    ["/claude-code", { prompt: "What is 7 * 6?", stream: false, verbose: true }],
    ["/claude-code", { prompt: effect(), stream: false, maxTurns: 1 }],
    ["/agent/message", { message: "What is 7 * 6?", sessionId: "repeated" }],
    ["/query", { query: "What is 7 * 6?", accountId: "repeated" }],
    ["/v1/messages", { model: "demo/scripted", max_tokens: 50, messages: [{ role: "user", content: "hello" }] }],
    [
      "/v1/messages",
      { model: "demo/scripted", max_tokens: 50, stream: true, messages: [{ role: "user", content: "x" }] },
    ],
    ["/v1/chat/completions", { model: "demo/scripted", messages: [{ role: "user", content: "hello" }] }],
  ])("to %s gets the first answer: %j", async (path, body) => {
    const key = newKey();
    const first = await send(path, key, body);
    const text = await first.text();
    const again = await send(path, key, body);
    expect(await again.text()).toBe(text);
    expect(again.status).toBe(first.status);
    for (const name of ["content-type", "x-session-id", "x-run-id"])
      expect(again.headers.get(name)).toBe(first.headers.get(name));
    expect([replayed(first), replayed(again)]).toEqual([false, true]);
    expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  });

  it("to an archived or deleted thing gets the first answer too", async () => {
    const { id } = (await (await gantry.post("/v1/sessions", {})).json()) as { id: string };
    const key = newKey();
    const first = await (await send(`/v1/sessions/${id}/archive`, key, "")).json();
    await gantry.fetch(`/v1/sessions/${id}`, { method: "DELETE" });
    const again = await send(`/v1/sessions/${id}/archive`, key, "");
    expect([again.status, await again.json()]).toEqual([200, first]);
  });

  it("makes nothing twice", async () => {
    const key = newKey();
    const ids = [];
    for (let i = 0; i < 3; i++) {
      const response = await send("/v1/agents", key, { name: "once", model: "demo/scripted" });
      ids.push(((await response.json()) as { id: string }).id);
    }
    expect(new Set(ids).size).toBe(1);
    const list = (await (await gantry.fetch("/v1/agents?limit=100")).json()) as { data: { name: string }[] };
    expect(list.data.filter((agent) => agent.name === "once").length).toBe(1);
  });

  it("into a session is one prompt", async () => {
    const { id } = (await (await gantry.post("/v1/sessions", {})).json()) as { id: string };
    const key = newKey();
    const body = {
      events: [
        { type: "user.message", content: [{ type: "text", text: effect() }] },
        { type: "user.message", content: [{ type: "text", text: effect() }] },
      ],
    };
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await (await send(`/v1/sessions/${id}/events`, key, body)).json());
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
    await gantry.untilLog(id, (log) => log.filter((e) => e.type === "run.ended").length === 2, "both runs to end");
    expect(effects(id)).toBe(2);
  });

  it("of a stream gets the same run's stream from its beginning, while it runs and afterwards", async () => {
    const key = newKey();
    const body = { prompt: effect(2) };
    const first = await send("/claude-code", key, body);
    const sessionId = first.headers.get("x-session-id") ?? "";
    await until(() => existsSync(join(gantry.workspace(sessionId), "effects")), "the tool to run");
    await first.body?.cancel();
    const during = await send("/claude-code", key, body);
    const [told, after] = [await during.text(), await send("/claude-code", key, body)];
    const withoutHeartbeats = (text: string): string[] => text.split("\n").filter((line) => line !== "");
    expect(withoutHeartbeats(await after.text())).toEqual(withoutHeartbeats(told));
    expect(JSON.parse(withoutHeartbeats(told)[0] ?? "")).toMatchObject({ type: "status", status: "queued" });
    expect(JSON.parse(withoutHeartbeats(told).at(-1) ?? "")).toMatchObject({
      type: "result",
      result: "done",
      sessionId,
    });
    expect([replayed(during), replayed(after), effects(sessionId)]).toEqual([true, true, 1]);
  });

  it("of an upload stores one file, whatever boundary the client chose", async () => {
    const form = (text: string): FormData => {
      const data = new FormData();
      data.append("file", new Blob([text], { type: "text/plain" }), "a.txt");
      return data;
    };
    const key = newKey();
    const first = (await (await send("/v1/files", key, form("hello"))).json()) as { id: string };
    const again = await send("/v1/files", key, form("hello"));
    expect([replayed(again), await again.json()]).toEqual([true, first]);
    expect((await send("/v1/files", key, form("other"))).status).toBe(409);
  });
});

describe("a key", () => {
  it("that was used for another body, path or query is refused", async () => {
    const key = newKey();
    const body = { name: "A", model: "demo/scripted" };
    expect((await send("/v1/agents", key, body)).status).toBe(200);
    for (const [path, other] of [
      ["/v1/agents", { ...body, name: "B" }],
      ["/v1/environments", body],
      ["/v1/agents?beta=true", body],
      ["/claude-code", { prompt: "x" }],
    ] as const) {
      const response = await send(path, key, other);
      expect([path, response.status, await response.text()]).toEqual([
        path,
        409,
        expect.stringContaining("another request"),
      ]);
    }
  });

  it("of a request in progress is refused with a time to wait, and then answers", async () => {
    const key = newKey();
    const body = { prompt: effect(2), stream: false };
    const first = send("/claude-code", key, body);
    let busy: Response;
    do busy = await send("/claude-code", key, body);
    while (busy.status !== 409);
    expect([busy.headers.get("retry-after"), await busy.json()]).toMatchObject([
      "1",
      { error: "idempotency_in_flight" },
    ]);
    const answer = await (await first).text();
    const again = await send("/claude-code", key, body);
    expect([again.status, await again.text()]).toEqual([200, answer]);
  });

  it("is free again when its request was cut off, and leads to what that began", async () => {
    const key = newKey();
    const body = { prompt: effect(3), stream: false };
    const cut = new AbortController();
    const first = send("/claude-code", key, body, { signal: cut.signal }).catch(() => null);
    await until(async () => (await send("/claude-code", key, body)).status === 409, "it to be in progress");
    cut.abort();
    await first;
    let again: Response;
    do {
      again = await send("/claude-code", key, body);
      if (again.status === 409) await new Promise((resolve) => setTimeout(resolve, 100));
    } while (again.status === 409);
    const told = (await again.json()) as { sessionId: string; result: string };
    expect([again.status, told.result, replayed(again), effects(told.sessionId)]).toEqual([200, "done", true, 1]);
  });

  it("of a request that was refused is free: the corrected one may use it", async () => {
    const key = newKey();
    const wrong = await send("/v1/agents", key, { name: "A" });
    expect([wrong.status, replayed(wrong)]).toEqual([400, false]);
    expect((await send("/v1/agents", key, { name: "A", model: "demo/scripted" })).status).toBe(200);
  });

  it("belongs to its account", async () => {
    const makeKey = async (account: string): Promise<string> => {
      const made = await gantry.post("/v1/keys", { name: "x", scopes: ["admin"], account });
      return ((await made.json()) as { key: string }).key;
    };
    const key = newKey();
    const ids = [];
    for (const account of ["one", "two"]) {
      const headers = { authorization: `Bearer ${await makeKey(account)}` };
      const response = await send("/v1/environments", key, { name: "mine" }, { headers });
      expect(replayed(response)).toBe(false);
      ids.push(((await response.json()) as { id: string }).id);
    }
    expect(ids[0]).not.toBe(ids[1]);
  });

  it("of a new API key shows that key again only to its creator", async () => {
    const made = await gantry.post("/v1/keys", { name: "second", scopes: ["admin"] });
    const { key: second } = (await made.json()) as { key: string };
    const key = newKey();
    const body = { name: "third", scopes: ["read"] };
    const first = (await (await send("/v1/keys", key, body)).json()) as { key: string };
    expect(((await (await send("/v1/keys", key, body)).json()) as { key: string }).key).toBe(first.key);
    const stranger = await send("/v1/keys", key, body, { headers: { authorization: `Bearer ${second}` } });
    expect(stranger.status).toBe(409);
    const stored = readdirSync(join(gantry.state, "storage/do/gantry-Replies"))
      .map((name) => readFileSync(join(gantry.state, "storage/do/gantry-Replies", name), "latin1"))
      .join("");
    expect(stored).toContain("req_");
    expect(stored).not.toContain(first.key);
  });

  it.each([
    ["empty", ""],
    ["too long", "x".repeat(256)],
    ["not printable", "a\tb"],
    ["not ASCII", "sch\u00f6n"],
  ])("that is %s is refused by name", async (_name, key) => {
    const response = await send("/v1/agents", key, { name: "A", model: "demo/scripted" });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { param: "Idempotency-Key" } }]);
  });

  it("of 255 characters is taken, and other methods do not look at it", async () => {
    const key = "~".repeat(255);
    expect((await send("/v1/environments", key, { name: "E" })).status).toBe(200);
    expect((await gantry.fetch("/v1/environments", { headers: { "idempotency-key": key } })).status).toBe(200);
  });
});

describe("kill -9", () => {
  it("of the Worker while it waits: the repeat gets the run that was begun", async () => {
    const key = newKey();
    const body = { prompt: effect(4), stream: false };
    const first = send("/claude-code", key, body).catch(() => null);
    const sandboxes = join(gantry.state, "sandboxes");
    const before = new Set(readdirSync(sandboxes));
    let sessionId: string | undefined;
    await until(() => {
      sessionId = readdirSync(sandboxes).find(
        (id) => !before.has(id) && existsSync(join(gantry.workspace(id), "effects")),
      );
      return sessionId !== undefined;
    }, "the tool to run");
    gantry.kill("workerd");
    await first;
    let again: Response | null = null;
    await until(async () => (again = await send("/claude-code", key, body).catch(() => null)) !== null, "an answer");
    const told = await (again as Response | null)?.json();
    expect(told).toMatchObject({ type: "result", result: "done", sessionId });
    expect(effects(sessionId ?? "")).toBe(1);
  });

  it("at any moment between effect and answer: one session and one run", async () => {
    for (let round = 0; round < rounds(5, 2); round++) {
      const key = newKey();
      const title = `kill ${round}`;
      const body = { title, initial_events: [{ type: "user.message", content: [{ type: "text", text: effect() }] }] };
      const first = send("/v1/sessions", key, body).catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      gantry.kill("workerd");
      await first;
      let id = "";
      await until(async () => {
        const response = await send("/v1/sessions", key, body).catch(() => null);
        if (response?.status !== 200) return false;
        ({ id } = (await response.json()) as { id: string });
        return true;
      }, "the repeat to be answered");
      const log = await gantry.untilLog(id, (events) => events.some((e) => e.type === "run.ended"), "the run to end");
      expect(log.filter((e) => e.type === "user.message").length).toBe(1);
      expect(effects(id)).toBe(1);
      const { data } = (await (await gantry.fetch("/v1/sessions?limit=100")).json()) as { data: { title: string }[] };
      expect(data.filter((session) => session.title === title).length).toBe(1);
    }
  });

  it("of everything loses no answer, and after a day the key is new", async () => {
    const key = newKey();
    const body = { name: "kept" };
    const first = (await (await send("/v1/environments", key, body)).json()) as { id: string };
    gantry.kill("launcher", "workerd");
    await gantry.stop();
    await gantry.start();
    expect(await (await send("/v1/environments", key, body)).json()).toEqual(first);
    await gantry.stop();
    const folder = join(gantry.state, "storage/do/gantry-Replies");
    for (const name of readdirSync(folder).filter((file) => file.endsWith(".sqlite") && !file.startsWith("metadata"))) {
      const db = new DatabaseSync(join(folder, name));
      db.exec("UPDATE replies SET at = at - 86400001");
      db.close();
    }
    await gantry.start();
    const again = await send("/v1/environments", key, body);
    expect(replayed(again)).toBe(false);
    expect(((await again.json()) as { id: string }).id).not.toBe(first.id);
  });
});
