import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";

/** One run or one log in the form that the client asks for, and the managed WebSocket. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
});
afterAll(() => gantry.remove());

const QUESTION = { prompt: "What is 7 * 6?" };
const SLOW = script({ text: "slow", tool: "Bash", input: { command: "for i in $(seq 25); do sleep 0.1; done" } });
const message = (text: string) => ({ events: [{ type: "user.message", content: [{ type: "text", text }] }] });

async function newSession(): Promise<string> {
  return ((await (await gantry.post("/v1/sessions", {})).json()) as { id: string }).id;
}

function send(path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
  return gantry.fetch(path, { method: "POST", body: JSON.stringify(body), headers });
}

/** Types of the events of a stream. */
function typesOf(text: string, format: "ndjson" | "sse"): string[] {
  const lines = text.split("\n").filter((line) => (format === "sse" ? line.startsWith("data: ") : line !== ""));
  return lines.map((line) => (JSON.parse(line.replace(/^data: /, "")) as { type: string }).type);
}

interface RunBody {
  id: string;
  state: string;
  outcome: string | null;
  result: string | null;
  usage: { output_tokens: number };
}

describe("POST /claude-code", () => {
  it.each([
    ["nothing", undefined, "text/plain"],
    ["anything", "*/*", "text/plain"],
    ["lines", "application/x-ndjson", "application/x-ndjson"],
    ["server-sent events", "text/event-stream", "text/event-stream"],
    ["JSON", "application/json", "application/json"],
    ["what a browser's library accepts", "application/json, text/plain, */*", "text/plain"],
  ])("gives who accepts %s %j %s", async (_name, accept, type) => {
    const response = await send("/claude-code", QUESTION, accept === undefined ? {} : { accept });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain(type);
    const text = await response.text();
    const types =
      type === "application/json"
        ? [(JSON.parse(text) as { type: string }).type]
        : typesOf(text, type === "text/event-stream" ? "sse" : "ndjson");
    expect(types.at(-1)).toBe("result");
  });

  it("goes by the body where it says how", async () => {
    const once = await send("/claude-code", { ...QUESTION, stream: false }, { accept: "text/event-stream" });
    expect(await once.json()).toMatchObject({ type: "result", result: expect.stringContaining("42") });
    const streamed = await send("/claude-code", { ...QUESTION, stream: true }, { accept: "application/json" });
    expect(streamed.status).toBe(406);
    expect(await streamed.json()).toMatchObject({ error: "not_acceptable" });
  });

  it("answers 406 with what there is, before anything is accepted", async () => {
    const sessionId = await newSession();
    const refused = await send("/claude-code", { ...QUESTION, sessionId }, { accept: "text/html" });
    expect(refused.status).toBe(406);
    expect(await refused.json()).toMatchObject({
      message: expect.stringContaining("text/plain, application/x-ndjson, text/event-stream, application/json"),
    });
    expect(await gantry.log(sessionId)).toEqual([]);
  });

  it("answers 202 with the run's address when it takes too long, and the address tells the end", async () => {
    const waiting = await send("/claude-code", { prompt: SLOW }, { accept: "application/json", prefer: "wait=0" });
    expect(waiting.status).toBe(202);
    expect(await waiting.json()).toMatchObject({ type: "status", runId: expect.stringMatching(/^run_/) });
    const address = waiting.headers.get("location") ?? "";
    const running = await gantry.fetch(address);
    expect(running.status).toBe(200);
    expect(await running.json()).toMatchObject({ type: "run", outcome: null, result: null });
    const soon = await gantry.fetch(address, { headers: { prefer: "wait=0" } });
    expect(soon.status).toBe(202);
    const ended = await gantry.fetch(address, { headers: { prefer: "wait=60" } });
    expect(ended.status).toBe(200);
    expect(ended.headers.get("preference-applied")).toBe("wait=60");
    const run = (await ended.json()) as RunBody;
    expect(run).toMatchObject({ state: "ended", outcome: "succeeded", result: "slow" });
    expect(run.usage.output_tokens).toBeGreaterThan(0);
  });
});

describe("POST /v1/sessions/{id}/events", () => {
  it("answers at once by default, and with the run to those who wait", async () => {
    const id = await newSession();
    const path = `/v1/sessions/${id}/events`;
    const atOnce = await send(path, message("What is 1 + 1?"), { accept: "application/json" });
    expect(Object.keys((await atOnce.json()) as object)).toEqual(["data"]);
    const waited = await send(path, message("What is 7 * 6?"), { prefer: "wait=60" });
    expect(waited.status).toBe(200);
    const body = (await waited.json()) as { data: unknown[]; run: RunBody };
    expect(body.data).toHaveLength(1);
    expect(body.run).toMatchObject({ outcome: "succeeded", result: expect.stringContaining("42") });
    const late = await send(path, message(SLOW), { prefer: "wait=0" });
    expect(late.status).toBe(202);
    expect(late.headers.get("location")).toBe(
      `/v1/sessions/${id}/runs/${((await late.json()) as { run: RunBody }).run.id}`,
    );
    // An interrupt belongs to the run in progress.
    const stopped = await send(path, { events: [{ type: "user.interrupt" }] }, { prefer: "wait=60" });
    expect(((await stopped.json()) as { run: RunBody }).run).toMatchObject({ outcome: "interrupted" });
    const nothing = await send(path, { events: [{ type: "user.interrupt" }] }, { prefer: "wait=60" });
    expect(await nothing.json()).toMatchObject({ run: null });
  });

  it.each([
    ["application/x-ndjson", "ndjson"],
    ["text/event-stream", "sse"],
  ] as const)("streams the log to the end of the run as %s", async (accept, format) => {
    const id = await newSession();
    const response = await send(`/v1/sessions/${id}/events`, message("What is 7 * 6?"), { accept });
    expect(response.headers.get("content-type")).toContain(accept);
    expect(response.headers.get("x-run-id")).toMatch(/^run_/);
    const types = typesOf(await response.text(), format);
    expect(types[0]).toBe("run.queued");
    expect(types.at(-1)).toBe("run.ended");
    expect(types).toContain("agent.message");
    expect(types).not.toContain("event_delta");
  });

  it("answers 406 without taking the prompt", async () => {
    const id = await newSession();
    const refused = await send(`/v1/sessions/${id}/events`, message("x"), { accept: "application/xml" });
    expect(refused.status).toBe(406);
    expect(await refused.json()).toMatchObject({ error: { message: expect.stringContaining("application/x-ndjson") } });
    expect(await gantry.log(id)).toEqual([]);
  });
});

describe("GET /v1/sessions/{id}/events/stream", () => {
  it("waits for a page for those who want JSON and say how long", async () => {
    const id = await newSession();
    const path = `/v1/sessions/${id}/events/stream`;
    const wait = (after: string, seconds: number) =>
      gantry.fetch(`${path}?after=${after}`, {
        headers: { accept: "application/json", prefer: `wait=${seconds}` },
      });
    expect(await (await wait("0", 0)).json()).toEqual({ data: [], next_page: "0" });
    const coming = wait("0", 60);
    await send(`/v1/sessions/${id}/events`, message("What is 7 * 6?"), {});
    const page = (await (await coming).json()) as { data: { type: string; id: string }[]; next_page: string };
    expect(page.data[0]?.type).toBe("run.queued");
    const next = (await (await wait(page.data[0]?.id ?? "", 60)).json()) as { data: { type: string }[] };
    expect(next.data[0]?.type).toBe("user.message");
  });

  it.each([
    ["another type", "", { accept: "text/html" }, 406, /text\/event-stream/],
    ["an event that is not there", "?after=sevt_nobody", {}, 400, /after/],
    ["a position before the first", "?after=-1", {}, 400, /after/],
    ["an event that is not there, as a browser says it", "", { "last-event-id": "x" }, 400, /after/],
  ] as const)("refuses %s", async (_name, query, headers, status, said) => {
    const response = await gantry.fetch(`/v1/sessions/${await newSession()}/events/stream${query}`, { headers });
    expect(response.status).toBe(status);
    expect(await response.text()).toMatch(said);
  });
});

describe("messages of the engine", () => {
  it("come to those who ask, with the prompt, and without a secret", async () => {
    const printed = script({ text: "look", tool: "Bash", input: { command: "printenv" } }, { text: "done" });
    const asked = await send("/claude-code", { prompt: printed, includeRaw: true, stream: false, verbose: true }, {});
    const { messages, sessionId } = (await asked.json()) as {
      messages: { type: string; message: { type: string } }[];
      sessionId: string;
    };
    const raw = messages.filter(({ type }) => type === "raw");
    expect(new Set(raw.map((line) => line.message.type))).toEqual(new Set(["system", "assistant", "user", "result"]));
    expect(JSON.stringify(raw)).toContain("ANTHROPIC_BASE_URL=");
    expect(JSON.stringify(raw)).not.toContain("gst_");
    const path = `/v1/sessions/${sessionId}/events`;
    const [event] = message("What is 7 * 6?").events;
    const lines = await send(path, { events: [{ ...event, include_raw: true }] }, { accept: "application/x-ndjson" });
    expect(typesOf(await lines.text(), "ndjson")).toContain("engine.message");
    const others = await send(path, message("What is 1 + 1?"), { accept: "application/x-ndjson" });
    expect(typesOf(await others.text(), "ndjson")).not.toContain("engine.message");
  });
});

describe("GET /v1/sessions/{id}/runs/{run}", () => {
  it("is 404 for what is not there", async () => {
    const id = await newSession();
    for (const path of [`/v1/sessions/${id}/runs/run_nobody`, `/v1/sessions/${id.replace(/.$/, "0")}/runs/run_x`])
      expect((await gantry.fetch(path)).status, path).toBe(404);
    expect((await gantry.fetch(`/claude-code/${id}/run_nobody`)).status).toBe(404);
  });
});

// One of them sleeps: the others need not wait for it.
describe.concurrent("the WebSocket of a session", () => {
  const open = (id: string, query = ""): WebSocket =>
    new WebSocket(`${gantry.url.replace("http", "ws")}/v1/sessions/${id}/events/ws${query}`, {
      headers: { authorization: `Bearer ${gantry.key}` },
    });
  const framesOf = (ws: WebSocket): string[] => {
    const frames: string[] = [];
    ws.on("message", (data: Buffer) => frames.push(data.toString("utf8")));
    return frames;
  };
  const linesOf = (frames: readonly string[]): { seq: number; type: string }[] =>
    frames.flatMap((frame) => frame.split("\n").map((line) => JSON.parse(line) as { seq: number; type: string }));

  it("shows what is there, what comes, and after a sleep what came since", async () => {
    const id = await newSession();
    await send(`/v1/sessions/${id}/events`, message("What is 7 * 6?"), { prefer: "wait=60" });
    const ws = open(id, "?after=0");
    const frames = framesOf(ws);
    // What a run left is saved when it has ended: that may come before or after what is looked at here.
    const shown = () => linesOf(frames).filter((event) => !event.type.startsWith("workspace."));
    await until(() => shown().at(-1)?.type === "session.status_idle", "the replay");
    // Many events a frame: one line each.
    expect(frames.length).toBeLessThan(linesOf(frames).length);
    ws.send('{"type":"ping"}');
    await until(() => frames.includes('{"type":"pong"}'), "the pong");
    frames.splice(frames.indexOf('{"type":"pong"}'), 1);
    // Nothing keeps the session awake now: it sleeps after ten seconds, and the socket stays open.
    await new Promise((resolve) => setTimeout(resolve, 13_000));
    expect(ws.readyState).toBe(WebSocket.OPEN);
    await send(`/v1/sessions/${id}/events`, message("What is 1 + 1?"), { prefer: "wait=60" });
    const log = (await gantry.log(id)).filter((event) => !/^(event_|workspace\.)/.test(event.type));
    await until(() => shown().length >= log.length, "the rest");
    expect(shown()).toEqual(log);
    ws.close();
  });

  it("begins now without a cursor", async () => {
    const id = await newSession();
    await send(`/v1/sessions/${id}/events`, message("What is 7 * 6?"), { prefer: "wait=60" });
    await until(async () => (await gantry.log(id)).at(-1)?.type === "workspace.snapshot", "the save of what it left");
    const before = (await gantry.log(id)).length;
    const ws = open(id);
    const frames = framesOf(ws);
    await until(() => ws.readyState === WebSocket.OPEN, "the socket");
    await send(`/v1/sessions/${id}/events`, message("What is 1 + 1?"), { prefer: "wait=60" });
    await until(() => linesOf(frames).some((event) => event.type === "session.status_idle"), "the end");
    expect(linesOf(frames)[0]?.seq).toBe(before + 1);
    ws.close();
  });

  it.each([
    ["a prompt", '{"type":"user_message","content":"x"}'],
    ["no JSON", "{"],
    ["a confirmation without a position", '{"type":"ack"}'],
  ])("answers %s with an error and stays open", async (_name, data) => {
    const ws = open(await newSession());
    const frames = framesOf(ws);
    await until(() => ws.readyState === WebSocket.OPEN, "the socket");
    ws.send(data);
    await until(() => frames.some((frame) => frame.includes('"type":"error"')), "the error");
    expect(ws.readyState).toBe(WebSocket.OPEN);
    ws.close();
  });

  it("is refused without a key, a session, an event or a WebSocket that exists", async () => {
    const id = await newSession();
    const path = `/v1/sessions/${id}/events/ws`;
    expect((await gantry.fetch(path)).status).toBe(400);
    const statusOf = (ws: WebSocket): Promise<number | undefined> =>
      new Promise((resolve) => {
        ws.on("unexpected-response", (_request, response) => resolve(response.statusCode));
        ws.on("open", () => resolve(101));
      });
    expect(await statusOf(new WebSocket(gantry.url.replace("http", "ws") + path))).toBe(401);
    expect(await statusOf(open(id.replace(/.$/, "0")))).toBe(404);
    expect(await statusOf(open(id, "?after=sevt_nobody"))).toBe(400);
  });
});

describe("GET /v1/sessions/{id}", () => {
  it("is true at every moment of a run: running, what it has used so far, waiting, idle again", async () => {
    const client = clientOf(gantry);
    const ask = { type: "always_ask" } as const;
    const toolset = { type: "agent_toolset_20260401", default_config: { permission_policy: ask } } as const;
    const agent = await client.beta.agents.create({ name: "Asks", model: "demo/scripted", tools: [toolset] });
    const environment_id = (await client.beta.environments.create({ name: "e" })).id;
    const { id } = await client.beta.sessions.create({ agent: agent.id, environment_id });
    const told = () => client.beta.sessions.retrieve(id);
    const last = () => client.beta.sessions.events.list(id, { order: "desc", limit: 1 }).then(({ data }) => data[0]);
    expect(await told()).toMatchObject({ status: "idle", usage: { output_tokens: 0 }, stats: { active_seconds: 0 } });

    const steps = script(
      { text: "first", tool: "Bash", input: { command: "touch a" } },
      { text: "second", ttftMs: 1500 },
    );
    await client.beta.sessions.events.send(id, { events: [message(steps).events[0] as never] });
    expect((await told()).status).toBe("running");
    await until(async () => (await told()).status === "idle", "the question");
    const waiting = await told();
    expect(waiting.usage.output_tokens).toBeGreaterThan(0);
    const event = await last();
    expect(event).toMatchObject({ type: "session.status_idle", stop_reason: { type: "requires_action" } });
    // Waiting does not count as active time.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await told()).stats.active_seconds).toBe(waiting.stats.active_seconds);

    const { event_ids } = (event as { stop_reason: { event_ids: string[] } }).stop_reason;
    const answer = { type: "user.tool_confirmation", tool_use_id: event_ids[0] ?? "", result: "allow" } as const;
    await client.beta.sessions.events.send(id, { events: [answer] });
    expect((await told()).status).toBe("running");
    await until(async () => (await told()).status === "idle", "the end");
    const ended = await told();
    expect(await last()).toMatchObject({ type: "session.status_idle", stop_reason: { type: "end_turn" } });
    expect(ended.usage.output_tokens ?? 0).toBeGreaterThan(waiting.usage.output_tokens ?? 0);
    expect(ended.stats.active_seconds ?? 0).toBeGreaterThan(waiting.stats.active_seconds ?? 0);
    expect(ended.stats.active_seconds ?? 0).toBeLessThan((ended.stats.duration_seconds ?? 0) - 0.3);
    expect(Date.parse(ended.updated_at)).toBeGreaterThanOrEqual(Date.parse(waiting.updated_at));
  });
});
