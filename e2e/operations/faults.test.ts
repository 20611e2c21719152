import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, ROOT, lastOf, rows, script, until } from "../kit/gantry.ts";

/** Kill any part in the middle of a run: it ends once, nothing runs twice, the log has no gap, nothing is left. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
});
afterAll(() => gantry.remove());

/** Writes one line each time it runs, then keeps running for some seconds. */
const once = (seconds: number): Record<string, unknown> => ({
  tool: "Bash",
  input: { command: `echo ran >> effects; for i in $(seq ${seconds * 10}); do sleep 0.1; done; echo slept` },
});

/** Sends a prompt without waiting for its end. */
async function begin(body: Record<string, unknown>): Promise<{ sessionId: string; runId: string }> {
  const stream = gantry.stream(body);
  const first = await stream.next();
  // The connection will be cut under it; that is the point.
  void (async () => {
    try {
      for await (const _line of stream);
    } catch {}
  })();
  return { sessionId: String(first.value?.["sessionId"]), runId: String(first.value?.["runId"]) };
}

function audit(log: StoredEvent[], sessionId: string): void {
  expect(log.map((e) => e.seq)).toEqual(log.map((_, i) => i + 1));
  const accepted = log.filter((e) => e.type === "run.queued").map((e) => e.run_id);
  const started = log.filter((e) => e.type === "run.started").map((e) => e.run_id);
  const ended = log.filter((e) => e.type === "run.ended").map((e) => e.run_id);
  expect(started).toEqual(accepted);
  expect(ended).toEqual(accepted);
  const effects = join(gantry.workspace(sessionId), "effects");
  expect(existsSync(effects) ? readFileSync(effects, "utf8").trim().split("\n").length : 0).toBeLessThanOrEqual(1);
}

const isIdle = (log: StoredEvent[]): boolean => lastOf(log)?.type === "session.status_idle";
const outcomeOf = (log: StoredEvent[], runId: string): unknown =>
  log.find((e) => e.type === "run.ended" && e.run_id === runId);

describe("kill -9 in the middle of a tool call", () => {
  it("of workerd: the run goes on by itself", async () => {
    const { sessionId, runId } = await begin({ prompt: script(once(5), { text: "survived" }) });
    await until(() => existsSync(join(gantry.workspace(sessionId), "effects")), "the tool to run");
    gantry.kill("workerd");
    const log = await gantry.untilLog(sessionId, isIdle, "the session to be idle");
    expect(outcomeOf(log, runId)).toMatchObject({ outcome: "succeeded", result: "survived" });
    audit(log, sessionId);
    expect(gantry.output).toContain("workerd ended and was started again");
  });

  const PARTS = [
    ["the runner", ["runner"], false],
    ["everything", ["launcher", "workerd", "runner", "engine", "child"], true],
    ["the engine", ["engine"], false],
    ["the launcher", ["launcher"], true],
    ["the launcher and workerd", ["launcher", "workerd"], true],
  ] as const;
  it.each(rows(PARTS, 3))(
    "of %s: the run ends as lost, once, and the next prompt continues with memory and files",
    async (_name, parts, restart) => {
      const word = `word${Math.random().toString(36).slice(2)}`;
      const before = await gantry.run({ prompt: `Remember that the word is ${word}` });
      const { sessionId } = before;
      const { runId } = await begin({ prompt: script(once(60), { text: "never" }), sessionId });
      await until(() => existsSync(join(gantry.workspace(sessionId), "effects")), "the tool to run");
      const waiting = await begin({ prompt: "What is 5 * 5?", sessionId });
      gantry.kill(...parts);
      if (restart) {
        await until(() => gantry.processes().workerd.length === 0, "workerd to follow its parent");
        await until(() => gantry.processes().runner.length === 0, "the runner to follow its parent");
        await gantry.start(gantry.port);
      }
      const log = await gantry.untilLog(sessionId, isIdle, "the session to be idle");
      expect(outcomeOf(log, runId)).toMatchObject({
        outcome: "failed",
        error: { type: parts[0] === "engine" ? "engine_failed" : "sandbox_lost" },
      });
      // What waited in the queue was accepted, so it is done.
      expect(outcomeOf(log, waiting.runId)).toMatchObject({
        outcome: "succeeded",
        result: expect.stringContaining("25"),
      });
      audit(log, sessionId);
      await until(() => gantry.processes().child.length === 0, "its processes to be gone");
      expect(gantry.processes()).toMatchObject({
        launcher: [expect.any(Number)],
        workerd: [expect.any(Number)],
        runner: [expect.any(Number)],
      });
      const after = await gantry.run({ prompt: "What did I say before?", sessionId });
      expect(after.text).toContain(word);
      expect(existsSync(join(gantry.workspace(sessionId), "effects"))).toBe(true);
    },
  );
});

describe("kill -9 of workerd while it is being started again", () => {
  it("does not keep it from coming back", async () => {
    for (const pauseMs of rows([200, 150, 250], 1)) {
      const [before] = gantry.processes().workerd;
      gantry.kill("workerd");
      await until(() => ![undefined, before].includes(gantry.processes().workerd[0]), "another workerd");
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      gantry.kill("workerd");
      await until(async () => (await gantry.fetch("/health").catch(() => null))?.status === 200, "it to be back");
    }
  });
});

describe("kill -9 of workerd while text streams", () => {
  it("ends the run once, and a client that comes back reads everything", async () => {
    const { sessionId, runId } = await begin({ prompt: script({ text: "tick ".repeat(60), chunk: 5, chunkMs: 50 }) });
    await gantry.untilLog(sessionId, (log) => log.some((e) => e.type === "event_delta"), "text");
    gantry.kill("workerd");
    const log = await gantry.untilLog(sessionId, isIdle, "the session to be idle");
    expect(outcomeOf(log, runId)).toMatchObject({ outcome: "succeeded", result: "tick ".repeat(60) });
    audit(log, sessionId);
  });
});

describe("a link that is not cut", () => {
  it("lives as long as its run", async () => {
    const { sessionId, last } = await gantry.run({
      prompt: script({ tool: "Bash", input: { command: "sleep 8" } }, { text: "awake" }),
    });
    expect(last["result"]).toBe("awake");
    expect(gantry.logged(`"link_closed"`).filter((line) => line.includes(sessionId))).toEqual([]);
  });
});

describe("the state folder", () => {
  it("belongs to one: a second start refuses with one clear line", () => {
    const second = spawnSync(process.execPath, [join(ROOT, "local", "main.ts")], {
      cwd: ROOT,
      env: { PATH: process.env["PATH"] ?? "", GANTRY_STATE: gantry.state, PORT: "0" },
      encoding: "utf8",
    });
    expect(second.status).toBe(1);
    expect(second.stderr.trim().split("\n")).toEqual([
      expect.stringContaining(`Another Gantry is running on the state folder ${gantry.state}`),
    ]);
  });

  it("is left in order by SIGTERM in the middle of a run, and continues", async () => {
    const { sessionId, runId } = await begin({ prompt: script(once(60), { text: "never" }) });
    await until(() => existsSync(join(gantry.workspace(sessionId), "effects")), "the tool to run");
    const waiting = await begin({ prompt: "What is 6 * 6?", sessionId });
    expect(await gantry.stop()).toBe(0);
    expect(Object.values(gantry.processes()).flat()).toEqual([]);
    await gantry.start(gantry.port);
    const log = await gantry.untilLog(sessionId, isIdle, "the session to be idle");
    expect(outcomeOf(log, runId)).toMatchObject({ outcome: "failed", error: { type: "server_stopped" } });
    expect(outcomeOf(log, waiting.runId)).toMatchObject({
      outcome: "succeeded",
      result: expect.stringContaining("36"),
    });
    audit(log, sessionId);
  });

  it("that is nearly full accepts nothing and says so", async () => {
    await gantry.stop();
    const full = await Gantry.start({ GANTRY_STATE: gantry.state, GANTRY_MIN_FREE_BYTES: String(2 ** 60) });
    const response = await full.post("/claude-code", { prompt: "What is 1 + 1?" });
    expect([response.status, await response.json()]).toMatchObject([507, { error: "storage_full" }]);
    await full.stop();
    await gantry.start(gantry.port);
  });
});
