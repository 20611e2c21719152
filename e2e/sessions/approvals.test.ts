import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, rows, script, until } from "../kit/gantry.ts";

/** An answer still counts after the engine, the runner or the whole product that waited for it is gone. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start();
});
afterAll(() => gantry.remove());

const once = (name: string): Record<string, unknown> => ({
  tool: "Bash",
  input: { command: `echo ${name} >> effects` },
});
const effects = (sessionId: string): string[] => {
  const file = join(gantry.workspace(sessionId), "effects");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
};
const weather = {
  type: "custom",
  name: "weather",
  description: "Weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};
/** Everything is asked for. */
const asks = {
  type: "agent_toolset_20260401",
  default_config: { enabled: true, permission_policy: { type: "always_ask" } },
};

async function post(path: string, body: unknown): Promise<Record<string, unknown>> {
  const response = await gantry.post(path, body);
  const answer = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
  return answer;
}

const isWaiting = (log: StoredEvent[]): boolean => idleReason(log) === "requires_action";
const isDone = (log: StoredEvent[]): boolean => ![undefined, "requires_action"].includes(idleReason(log));
function idleReason(log: StoredEvent[]): string | undefined {
  const last = lastStatus(log);
  return last?.type === "session.status_idle" ? last.stop_reason.type : undefined;
}

/** A session whose run waits for an answer, and the ids of the calls it waits for. */
async function waiting(prompt: string): Promise<{ sessionId: string; ids: string[] }> {
  const agent = await post("/v1/agents", { name: "A", model: "demo/scripted", tools: [asks, weather] });
  const environment = await post("/v1/environments", { name: "e" });
  const session = await post("/v1/sessions", { agent: agent["id"], environment_id: environment["id"] });
  const sessionId = String(session["id"]);
  await send(sessionId, { type: "user.message", content: [{ type: "text", text: prompt }] });
  const log = await gantry.untilLog(sessionId, isWaiting, "the run to wait");
  return { sessionId, ids: openIn(log) };
}

/** The last event about the session's status: other events may follow it. */
const lastStatus = (log: StoredEvent[]): StoredEvent | undefined =>
  log.findLast((e) => e.type === "session.status_idle" || e.type === "session.status_running");

function openIn(log: StoredEvent[]): string[] {
  const last = lastStatus(log);
  return (last?.type === "session.status_idle" && last.stop_reason.event_ids) || [];
}

const send = (sessionId: string, ...events: Record<string, unknown>[]): Promise<unknown> =>
  post(`/v1/sessions/${sessionId}/events`, { events });
const allow = (id: string, more: object = {}): Record<string, unknown> => ({
  type: "user.tool_confirmation",
  tool_use_id: id,
  result: "allow",
  ...more,
});
const deny = (id: string): Record<string, unknown> => ({ ...allow(id), result: "deny", deny_message: "not today" });

/** How many runs the runner has let go of. */
const parked = (): number => gantry.logged("run_parked").length;

/** What happened to the machine before the answer came. */
const GONE: [string, () => Promise<void>][] = [
  [
    "after it was stopped and started",
    async () => {
      expect(await gantry.stop()).toBe(0);
      await gantry.start(gantry.port);
    },
  ],
  [
    "after kill -9 of the engine",
    async () => {
      const before = parked();
      gantry.kill("engine");
      await until(() => parked() > before, "the runner to notice");
    },
  ],
  [
    "after kill -9 of the runner",
    async () => {
      const [before] = gantry.processes().runner;
      gantry.kill("runner");
      await until(() => ![undefined, before].includes(gantry.processes().runner[0]), "another runner");
    },
  ],
  [
    "after kill -9 of everything",
    async () => {
      await gantry.killAll();
      await gantry.start(gantry.port);
    },
  ],
];

function auditEnd(log: StoredEvent[], outcome: string): void {
  expect(log.map((e) => e.seq)).toEqual(log.map((_, i) => i + 1));
  const ends = log.filter((e) => e.type === "run.ended");
  expect(ends).toMatchObject([{ outcome, error: null }]);
  expect(log.filter((e) => e.type === "run.started")).toHaveLength(1);
}

describe.each(rows(GONE, 2))("%s", (_name, happens) => {
  it("an allowed call runs once, another is refused, and the run goes on to its one end", async () => {
    const { sessionId, ids } = await waiting(script(once("first"), once("second"), { text: "the end" }));
    await happens();
    await until(async () => isWaiting(await gantry.log(sessionId).catch(() => [])), "it to be reachable");
    expect(effects(sessionId)).toEqual([]);
    await send(sessionId, allow(ids[0] ?? ""));
    const second = await gantry.untilLog(sessionId, (log) => isWaiting(log) && openIn(log)[0] !== ids[0], "the second");
    expect(effects(sessionId)).toEqual(["first"]);
    expect(second.find((e) => e.type === "agent.tool_result" && e.tool_use_id === ids[0])).toMatchObject({
      is_error: false,
    });
    await happens();
    await until(async () => isWaiting(await gantry.log(sessionId).catch(() => [])), "it to be reachable");
    await send(sessionId, deny(openIn(second)[0] ?? ""));
    const log = await gantry.untilLog(sessionId, isDone, "the end");
    expect(effects(sessionId)).toEqual(["first"]);
    expect(log.findLast((e) => e.type === "agent.tool_result")).toMatchObject({
      is_error: true,
      content: [{ text: expect.stringContaining("not today") }],
    });
    auditEnd(log, "succeeded");
    expect(log.find((e) => e.type === "run.ended")).toMatchObject({ result: "the end" });
  });
});

const CUT_OFF: [string, (sessionId: string) => Promise<unknown>][] = [
  ["by kill -9 of the engine", async () => gantry.kill("engine")],
  ["by an interrupt", (sessionId) => send(sessionId, { type: "user.interrupt" })],
  ...GONE.slice(2),
];
describe.each(rows(CUT_OFF, 2))("a call that was taken up again and then cut off, %s", (_name, happens) => {
  it("runs no further, and the next prompt is answered itself", async () => {
    const slow = { tool: "Bash", input: { command: "echo slow >> effects; sleep 60; echo end >> effects" } };
    const { sessionId, ids } = await waiting(script(slow, { text: "never said" }));
    await GONE[2]?.[1]();
    await until(async () => isWaiting(await gantry.log(sessionId).catch(() => [])), "it to be reachable");
    await send(sessionId, allow(ids[0] ?? ""));
    await until(() => effects(sessionId).includes("slow"), "the call to run");
    await Promise.all([
      happens(sessionId),
      gantry.untilLog(sessionId, (log) => log.some((e) => e.type === "run.ended"), "the run to end"),
    ]);
    const text = script({ text: "the answer" });
    await send(sessionId, { type: "user.message", content: [{ type: "text", text }] });
    const log = await gantry.untilLog(
      sessionId,
      (all) => isDone(all) && all.filter((e) => e.type === "run.ended").length === 2,
      "the next end",
    );
    expect(log.filter((e) => e.type === "run.ended")[1]).toMatchObject({ outcome: "succeeded", result: "the answer" });
    expect(log.filter((e) => e.type === "approval.requested")).toHaveLength(1);
    expect(effects(sessionId)).toEqual(["slow"]);
  });
});

it("what a run has done before it waits is there when it goes on in another sandbox", async () => {
  const { sessionId, ids } = await waiting(script(once("first"), once("second"), { text: "the end" }));
  await send(sessionId, allow(ids[0] ?? ""));
  const log = await gantry.untilLog(sessionId, (all) => isWaiting(all) && openIn(all)[0] !== ids[0], "the second");
  expect(await gantry.stop()).toBe(0);
  rmSync(join(gantry.state, "sandboxes"), { recursive: true });
  await gantry.start(gantry.port);
  await until(async () => isWaiting(await gantry.log(sessionId).catch(() => [])), "it to be reachable");
  await send(sessionId, allow(openIn(log)[0] ?? ""));
  const end = await gantry.untilLog(sessionId, isDone, "the end");
  auditEnd(end, "succeeded");
  expect(effects(sessionId)).toEqual(["first", "second"]);
});

/** Everything dies at once, and what was on the disk of the sandboxes is gone. */
async function loseSandboxes(): Promise<void> {
  await gantry.killAll();
  rmSync(join(gantry.state, "sandboxes"), { recursive: true });
  await gantry.start(gantry.port);
}

it("what a run has done is saved as soon as it waits: a sandbox that is lost then takes nothing with it", async () => {
  const { sessionId, ids } = await waiting(script(once("first"), once("second"), { text: "the end" }));
  await send(sessionId, allow(ids[0] ?? ""));
  const log = await gantry.untilLog(
    sessionId,
    (all) => isWaiting(all) && all.findLast((e) => e.type === "workspace.snapshot")?.files === 2,
    "what it has done to be saved",
  );
  await loseSandboxes();
  await until(async () => isWaiting(await gantry.log(sessionId).catch(() => [])), "it to be reachable");
  await send(sessionId, allow(openIn(log)[0] ?? ""));
  auditEnd(await gantry.untilLog(sessionId, isDone, "the end"), "succeeded");
  expect(effects(sessionId)).toEqual(["first", "second"]);
});

describe("after kill -9 of the runner", () => {
  const call = script(once("first"), { text: "the end" });
  const PROMPTS = {
    clientTool: script({ tool: "mcp__client__weather", input: { city: "Oslo" } }, { text: "told" }),
    changed: call,
    stopped: `Remember that the word is plum. ${script(once("never"), { text: "x" })}`,
    queued: call,
    unanswered: call,
  };
  const waits: Partial<Record<keyof typeof PROMPTS, Awaited<ReturnType<typeof waiting>>>> = {};
  const waitOf = (name: keyof typeof PROMPTS): Awaited<ReturnType<typeof waiting>> => {
    const found = waits[name];
    if (!found) throw new Error(`${name} does not wait`);
    return found;
  };
  // One kill for all of them: the runs wait side by side.
  beforeAll(async () => {
    for (const [name, prompt] of Object.entries(PROMPTS)) waits[name as keyof typeof PROMPTS] = await waiting(prompt);
    await GONE[2]?.[1]();
  });

  it("a client's tool is answered", async () => {
    const { sessionId, ids } = waitOf("clientTool");
    const content = [{ type: "text", text: "snow" }];
    await send(sessionId, { type: "user.custom_tool_result", custom_tool_use_id: ids[0], content });
    const log = await gantry.untilLog(sessionId, isDone, "the end");
    expect(log.filter((e) => e.type === "agent.tool_result")).toMatchObject([
      { tool_use_id: ids[0], is_error: false, content },
    ]);
    expect(log.filter((e) => e.type === "agent.custom_tool_use")).toHaveLength(1);
    auditEnd(log, "succeeded");
  });

  it("a call that is changed by its answer runs as changed, and asks no more than others", async () => {
    const { sessionId, ids } = waitOf("changed");
    await send(sessionId, allow(ids[0] ?? "", { updated_input: { command: "echo changed >> effects" } }));
    const log = await gantry.untilLog(sessionId, isDone, "the end");
    expect(effects(sessionId)).toEqual(["changed"]);
    auditEnd(log, "succeeded");
  });

  it("a run that is stopped ends at once, and the next prompt continues the conversation", async () => {
    const { sessionId } = waitOf("stopped");
    await send(sessionId, { type: "user.interrupt" });
    auditEnd(await gantry.untilLog(sessionId, isDone, "the end"), "interrupted");
    await send(sessionId, { type: "user.message", content: [{ type: "text", text: "What did I say before?" }] });
    const log = await gantry.untilLog(
      sessionId,
      (all) => isDone(all) && all.filter((e) => e.type === "run.ended").length === 2,
      "the next end",
    );
    expect(JSON.stringify(log.filter((e) => e.type === "agent.message").at(-1))).toContain("plum");
    expect(effects(sessionId)).toEqual([]);
  });

  it("a prompt that came meanwhile runs after it", async () => {
    const { sessionId, ids } = waitOf("queued");
    await send(sessionId, { type: "user.message", content: [{ type: "text", text: script({ text: "next" }) }] });
    await send(sessionId, allow(ids[0] ?? ""));
    const log = await gantry.untilLog(
      sessionId,
      (all) => isDone(all) && all.filter((e) => e.type === "run.ended").length === 2,
      "both ends",
    );
    expect(log.filter((e) => e.type === "run.ended")).toMatchObject([{ result: "the end" }, { result: "next" }]);
    expect(effects(sessionId)).toEqual(["first"]);
  });

  it("nothing runs before the answer", async () => {
    const { sessionId, ids } = waitOf("unanswered");
    const ofSession = (): number[] => gantry.processes(sessionId).engine;
    expect(ofSession()).toEqual([]);
    await send(sessionId, allow(ids[0] ?? ""));
    await gantry.untilLog(sessionId, isDone, "the end");
  });
});

describe("a run whose work could not be saved before its sandbox was lost", () => {
  beforeAll(async () => {
    await gantry.remove();
    // Too little for anything: no save succeeds.
    gantry = await Gantry.start({ GANTRY_SNAPSHOT_MAX_BYTES: "1" });
  });

  it("ends and says so, where going on would build on what is not there; the next prompt is answered", async () => {
    const { sessionId, ids } = await waiting(script(once("first"), once("second"), { text: "the end" }));
    await send(sessionId, allow(ids[0] ?? ""));
    await gantry.untilLog(sessionId, (all) => isWaiting(all) && openIn(all)[0] !== ids[0], "the second");
    await loseSandboxes();
    const end = await gantry.untilLog(sessionId, isDone, "the end");
    expect(end.filter((e) => e.type === "run.ended")).toMatchObject([
      { outcome: "failed", error: { type: "sandbox_lost", message: expect.stringContaining("had changed") } },
    ]);
    expect(effects(sessionId)).toEqual([]);
    expect((await gantry.run({ prompt: "What is 2 + 2?", sessionId })).text).toContain("4");
  });

  it("goes on when it had done nothing yet", async () => {
    const { sessionId, ids } = await waiting(script(once("only"), { text: "the end" }));
    await loseSandboxes();
    await until(async () => isWaiting(await gantry.log(sessionId).catch(() => [])), "it to be reachable");
    await send(sessionId, allow(ids[0] ?? ""));
    auditEnd(await gantry.untilLog(sessionId, isDone, "the end"), "succeeded");
    expect(effects(sessionId)).toEqual(["only"]);
  });
});
