import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Gantry, script, until } from "../kit/gantry.ts";

/** What triage decides, through every door, and what a sandbox is not started for. */

const CONFIG = `
setup:
  - CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, account TEXT, state TEXT)
  - INSERT OR IGNORE INTO orders VALUES (17, 'default', 'it lies in Rotterdam'), (18, 'stranger', 'secret')
rules:
  - name: thanks
    when: { matches: "^(thanks|thank you)[.! ]*$" }
    answer: You are welcome.
  - name: no-miners
    when: { contains: miner }
    refuse: This server does not run miners.
sources:
  - name: orders
    when: { contains: order }
    sql: SELECT id, state FROM orders WHERE account = :account AND id = CAST(:id AS INTEGER)
    parameters: { account: account, id: { match: "order (\\\\d+)" } }
  - name: broken
    when: { contains: break the source }
    sql: SELECT * FROM nowhere
classifier:
  model: demo/small
  when: { contains: classify }
  instructions: Answer what you can.
  timeout_seconds: 5
`;

let gantry: Gantry;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gantry-triage-"));
  writeFileSync(join(folder, "triage.yaml"), CONFIG);
  gantry = await Gantry.start({
    TRIAGE_CONFIG: join(folder, "triage.yaml"),
    GANTRY_PERMISSION_MODE: "bypassPermissions",
    GANTRY_POOL: "0",
  });
});
afterAll(async () => {
  await gantry.remove();
  rmSync(folder, { recursive: true });
});

const types = (log: StoredEvent[]): string[] => log.map((event) => event.type);
const decided = (log: StoredEvent[]) => log.filter((event) => event.type === "triage.decided");
const engines = async (): Promise<number> =>
  ((await (await gantry.fetch("/health")).json()) as { sandbox: { engines: number } }).sandbox.engines;

describe("an answer", () => {
  it("is a run of the session like any other, without an engine", async () => {
    const { lines, last, sessionId } = await gantry.run({ prompt: "Thanks!" });
    expect(last).toMatchObject({ type: "result", result: "You are welcome.", numTurns: 0 });
    expect(lines.map((line) => line.type)).toEqual(["status", "status", "assistant", "result"]);
    const log = await gantry.log(sessionId);
    expect(types(log)).toEqual([
      "run.queued",
      "user.message",
      "session.status_running",
      "run.started",
      "triage.decided",
      "agent.message",
      "run.ended",
      "session.status_idle",
    ]);
    expect(decided(log)).toMatchObject([{ decision: "answer", by: ["thanks"], problems: [] }]);
    expect(await engines()).toBe(0);
    expect(gantry.processes().engine).toEqual([]);
  });

  it("comes through every door", async () => {
    const query = await gantry.post("/query", { query: "Thank you." });
    expect(await query.json()).toEqual({ success: true, response: "You are welcome." });
    const message = await gantry.post("/agent/message", { message: "thanks" });
    expect(await message.json()).toMatchObject({ status: "Message processed", result: "You are welcome." });
    const session = await gantry.post("/v1/sessions", {
      initial_events: [{ type: "user.message", content: [{ type: "text", text: "thanks" }] }],
    });
    const { id } = (await session.json()) as { id: string };
    await gantry.post(`/v1/sessions/${id}/events`, {
      events: [{ type: "user.message", content: [{ type: "text", text: "thanks" }] }],
    });
    const log = await gantry.untilLog(
      id,
      (events) => events.filter((e) => e.type === "run.ended").length === 2,
      "the ends",
    );
    expect(log.filter((e) => e.type === "agent.message").length).toBe(2);
    const socket = new WebSocket(`${gantry.url.replace("http", "ws")}/demo/ws/triage`, {
      headers: { authorization: `Bearer ${gantry.key}` },
    });
    const heard: string[] = [];
    socket.on("message", (data: Buffer) => heard.push((JSON.parse(data.toString()) as { content: string }).content));
    socket.on("open", () => socket.send(JSON.stringify({ type: "user_message", content: "thanks" })));
    await until(() => heard.includes("idle"), "the end");
    expect(heard).toContain("You are welcome.");
    socket.close();
    expect(gantry.processes().engine).toEqual([]);
  });
});

describe("a refusal", () => {
  it("ends the run as refused, with the reason", async () => {
    const response = await gantry.post("/claude-code", { prompt: "Install a bitcoin miner", stream: false });
    const body = (await response.json()) as { sessionId: string };
    expect([response.status, body]).toMatchObject([
      422,
      { type: "error", error: "refused", message: "This server does not run miners." },
    ]);
    const log = await gantry.log(body.sessionId);
    expect(decided(log)).toMatchObject([{ decision: "refuse", by: ["no-miners"] }]);
    expect(log.at(-1)).toMatchObject({ type: "session.status_idle", stop_reason: { type: "refusal" } });
    expect(gantry.processes().engine).toEqual([]);
  });
});

describe("context", () => {
  it("of a source goes to the engine with the prompt; the log keeps them apart", async () => {
    const { last, sessionId } = await gantry.run({ prompt: "Where is order 17?" });
    expect(last.type).toBe("result");
    const log = await gantry.log(sessionId);
    const context = '<context source="orders">\n{"id":17,"state":"it lies in Rotterdam"}\n</context>';
    expect(decided(log)).toMatchObject([{ decision: "context", by: ["orders"], context }]);
    expect(log.find((e) => e.type === "user.message")).toMatchObject({
      content: [{ type: "text", text: "Where is order 17?" }],
    });
    // The model is asked again what it was told: the demonstration model repeats prompts as the engine gave them.
    const again = await gantry.run({ prompt: "What did I ask before?", sessionId });
    expect(again.text).toContain("Rotterdam");
  });

  it("of another account's rows is none", async () => {
    const { sessionId } = await gantry.run({ prompt: "Where is order 18?" });
    expect(decided(await gantry.log(sessionId))).toMatchObject([{ decision: "pass" }]);
  });

  it("of a source that is broken is none, and the log says so", async () => {
    const { last, sessionId } = await gantry.run({ prompt: "What is 7 * 6? break the source" });
    expect(last.type).toBe("result");
    expect(decided(await gantry.log(sessionId))).toMatchObject([
      { decision: "pass", problems: [{ step: "broken", message: expect.stringContaining("nowhere") }] },
    ]);
  });
});

describe("a classifier", () => {
  it("answers directly, and what it used is counted", async () => {
    const prompt = `classify ${script({ tool: "decide", input: { decision: "answer", text: "forty-two" }, usage: { input_tokens: 1234, output_tokens: 56 } })}`;
    const { last, sessionId } = await gantry.run({ prompt });
    expect(last).toMatchObject({
      type: "result",
      result: "forty-two",
      usage: { input_tokens: 1234, output_tokens: 56 },
    });
    const log = await gantry.log(sessionId);
    expect(decided(log)).toMatchObject([{ decision: "answer", by: ["classifier"] }]);
    const session = (await (await gantry.fetch(`/v1/sessions/${sessionId}`)).json()) as { usage: object };
    expect(session.usage).toMatchObject({ input_tokens: 1234, output_tokens: 56 });
    await until(async () => {
      const { data } = (await (await gantry.fetch(`/v1/usage?session_id=${sessionId}`)).json()) as {
        data: { model: string; input_tokens: number }[];
      };
      return data.some((row) => row.model === "demo/small" && row.input_tokens === 1234);
    }, "the ledger to have it");
  });

  it.each([
    ["does not decide", { text: "hm" }, "did not decide"],
    ["fails", { fail: { status: 400 } }, "400"],
    ["takes too long", { ttftMs: 20_000, text: "late" }, ""],
  ])("that %s lets the prompt pass", async (_name, step, message) => {
    const { sessionId, runId } = await begin(`classify ${script(step)}`);
    const log = await gantry.untilLog(sessionId, (events) => decided(events).length > 0, "a decision");
    expect(decided(log)).toMatchObject([
      { decision: "pass", problems: [{ step: "classifier", message: expect.stringContaining(message) }] },
    ]);
    await gantry.post(`/v1/sessions/${sessionId}/runs/${runId}/cancel`, {});
  });
});

describe("while triage looks", () => {
  const slow = `classify ${script({ ttftMs: 900, tool: "decide", input: { decision: "answer", text: "late" } })}`;

  it("a run can be stopped, and the next one goes on", async () => {
    const { sessionId, runId } = await begin(slow);
    await begin("Thanks!", sessionId);
    await gantry.post(`/v1/sessions/${sessionId}/runs/${runId}/cancel`, {});
    const log = await gantry.untilLog(
      sessionId,
      (events) => events.filter((e) => e.type === "run.ended").length === 2,
      "both ends",
    );
    expect(log.filter((e) => e.type === "run.ended").map((e) => e.outcome)).toEqual(["interrupted", "succeeded"]);
  });

  it("the Worker may die: it looks again, and the run ends once", async () => {
    const { sessionId } = await begin(slow);
    gantry.kill("workerd");
    const log = await gantry.untilLog(sessionId, (events) => events.at(-1)?.type === "session.status_idle", "the end");
    expect(log.map((e) => e.seq)).toEqual(log.map((_, at) => at + 1));
    expect(log.filter((e) => e.type === "run.ended")).toMatchObject([{ outcome: "succeeded", result: "late" }]);
    expect(decided(log).length).toBe(1);
  });
});

describe("a triage file with errors", () => {
  it.each([
    ["a wrong key", "rules:\n  - name: a\n    answr: x\n", /triage\.yaml:3:5 rules\[0\]\.answr: unknown key/],
    [
      "a statement that writes",
      "sources:\n  - name: a\n    sql: DROP TABLE x\n",
      /:3:5 sources\[0\]\.sql: must be a SELECT/,
    ],
  ])("%s: it does not start, and says where", async (_name, text, says) => {
    const path = join(folder, `${Math.random()}-triage.yaml`);
    writeFileSync(path, text);
    await expect(Gantry.start({ TRIAGE_CONFIG: path })).rejects.toThrow(says);
  });

  it("that is not there: the same", async () => {
    await expect(Gantry.start({ TRIAGE_CONFIG: "/nowhere.yaml" })).rejects.toThrow("there is no file /nowhere.yaml");
  });
});

/** Sends a prompt without waiting for its end. */
async function begin(prompt: string, sessionId?: string): Promise<{ sessionId: string; runId: string }> {
  const response = await gantry.post("/claude-code", { prompt, ...(sessionId === undefined ? {} : { sessionId }) });
  const [session, run] = [response.headers.get("x-session-id") ?? "", response.headers.get("x-run-id") ?? ""];
  await response.body?.cancel();
  return { sessionId: session, runId: run };
}
