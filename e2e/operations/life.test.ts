import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, script, until } from "../kit/gantry.ts";
import type { Line } from "../kit/gantry.ts";

/** The life of a sandbox: engines start ahead of prompts, rest, wait for their turn, and end. */

interface Health {
  readonly sandbox: {
    readonly engines: number;
    readonly waiting: number;
    readonly pool: { readonly size: number; readonly ready: number; readonly starting: number };
  };
}

const health = async (gantry: Gantry): Promise<Health["sandbox"]> =>
  ((await (await gantry.fetch("/health")).json()) as Health).sandbox;
/** Spares that wait for a session. */
const notes = (gantry: Gantry): string[] => {
  const folder = join(gantry.state, "sandboxes", ".pool");
  return existsSync(folder) ? readdirSync(folder) : [];
};
const spareReady = (gantry: Gantry): Promise<void> =>
  until(
    async () => notes(gantry).length === 1 && (await health(gantry)).pool.ready === 1 && notes(gantry).length === 1,
    "a spare engine",
  );

/** Ids of sessions that have a folder. */
const folders = (gantry: Gantry): string[] =>
  readdirSync(join(gantry.state, "sandboxes")).filter((name) => name.startsWith("sesn_"));
/** "" of a process that is gone: it may end between its listing and this. */
function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").replaceAll("\0", "\n");
  } catch {
    return "";
  }
}
const bash = (command: string): Record<string, unknown> => ({ tool: "Bash", input: { command, description: "test" } });

describe("a spare engine", () => {
  let gantry: Gantry;
  beforeAll(async () => {
    gantry = await Gantry.start({
      GANTRY_POOL: "1",
      GANTRY_PERMISSION_MODE: "bypassPermissions",
      ANTHROPIC_API_KEY: "sk-ant-e2e-secret",
      MODEL: "demo/scripted",
    });
  });
  afterAll(() => gantry.remove());

  it("is there soon after the start, holds no key, and what it shows opens nothing before there is a session", async () => {
    await spareReady(gantry);
    const [pid, ...others] = gantry.processes().engine;
    expect(others).toEqual([]);
    const environment = environmentOf(pid ?? 0);
    expect(environment).not.toContain("sk-ant-e2e-secret");
    expect(environment).not.toContain(gantry.key);
    const token = /^ANTHROPIC_AUTH_TOKEN=(.*)$/m.exec(environment)?.[1] ?? "";
    expect(token).toMatch(/^gst_sesn_/);
    const call = await fetch(`${gantry.url}/v1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ model: "demo/scripted", max_tokens: 10, messages: [{ role: "user", content: "hi" }] }),
    });
    expect(call.status).toBe(401);
  });

  it("is taken by the next new session, which has all of its folders, and another spare is started", async () => {
    await spareReady(gantry);
    const [spare] = gantry.processes().engine;
    const { sessionId, lines } = await gantry.run({
      prompt: script(bash("pwd; echo $HOME; touch here"), { text: "ok" }),
    });
    expect(gantry.processes().engine).toContain(spare);
    expect(environmentOf(spare ?? 0)).toContain(sessionId);
    const workspace = gantry.workspace(sessionId);
    expect(lines.find((line) => line.type === "tool_result")?.["result"]).toBe(
      `${workspace}\n${join(gantry.state, "sandboxes", sessionId, "home")}`,
    );
    expect(existsSync(join(workspace, "here"))).toBe(true);
    // What it said is remembered by an engine that resumes it.
    await gantry.run({ prompt: "Remember that the word is heron", sessionId });
    const resumed = await gantry.run({ prompt: "What did I say before?", sessionId, maxTurns: 7 });
    expect(resumed.text).toContain("heron");
    await spareReady(gantry);
    expect(gantry.processes().engine.length).toBe(2);
  });

  it("goes to one of two sessions that begin at once, and they share nothing", async () => {
    await spareReady(gantry);
    const show = script(bash("pwd; printenv ANTHROPIC_AUTH_TOKEN CLAUDE_CONFIG_DIR TMPDIR; touch mine"), {
      text: "ok",
    });
    const both = await Promise.all([gantry.run({ prompt: show }), gantry.run({ prompt: show })]);
    const shown = both.map(({ lines }) =>
      String(lines.find((line) => line.type === "tool_result")?.["result"]).split("\n"),
    );
    for (const [index, { sessionId, last }] of both.entries()) {
      expect(last).toMatchObject({ type: "result" });
      for (const line of shown[index] ?? []) expect(line).toContain(sessionId);
    }
    expect(both[0]?.sessionId).not.toBe(both[1]?.sessionId);
    // A token is for the session it names, also when that one is known.
    const [one, two] = both.map(({ sessionId }) => sessionId);
    const forged = (shown[0]?.[1] ?? "").replace(one ?? "", two ?? "");
    const call = await fetch(`${gantry.url}/v1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${forged}` },
      body: JSON.stringify({ model: "demo/scripted", max_tokens: 10, messages: [{ role: "user", content: "hi" }] }),
    });
    expect(call.status).toBe(401);
  });

  it("that dies is replaced, and its folder is removed", async () => {
    await spareReady(gantry);
    const before = folders(gantry);
    const spare = gantry.processes().engine.find((pid) => {
      const id = /sesn_\w+/.exec(environmentOf(pid))?.[0] ?? "";
      return existsSync(join(gantry.state, "sandboxes", ".pool", id));
    });
    const spareId = /sesn_\w+/.exec(environmentOf(spare ?? 0))?.[0] ?? "";
    expect(before).toContain(spareId);
    process.kill(spare ?? 0, "SIGKILL");
    await until(() => !folders(gantry).includes(spareId), "its folder to be gone");
    await spareReady(gantry);
    const after = await gantry.run({ prompt: "What is 6 * 7?" });
    expect(after.text).toContain("42");
  });

  it("becomes one of the kind that is asked for", async () => {
    for (let each = 0; each < 3; each++) await gantry.run({ prompt: "What is 1 + 1?", maxTurns: 9 });
    await until(async () => {
      if ((await health(gantry)).pool.ready === 0) return false;
      const before = gantry.processes().engine;
      const { sessionId } = await gantry.run({ prompt: "What is 1 + 1?", maxTurns: 9 });
      return before.some((pid) => environmentOf(pid).includes(sessionId));
    }, "a spare of nine turns");
  });

  it("lists sessions in the order of their making, whichever had a spare's id", async () => {
    await spareReady(gantry);
    const first = await gantry.run({ prompt: "What is 1 + 1?", maxTurns: 4 });
    const second = await gantry.run({ prompt: "What is 1 + 1?", maxTurns: 9 });
    const page = (await (await gantry.fetch("/v1/sessions?limit=1")).json()) as {
      data: { id: string }[];
      next_page: string;
    };
    const next = (await (await gantry.fetch(`/v1/sessions?limit=1&page=${page.next_page}`)).json()) as {
      data: { id: string }[];
    };
    expect([page.data[0]?.id, next.data[0]?.id]).toEqual([second.sessionId, first.sessionId]);
  });

  it("leaves nothing: not when everything is killed, not when it is stopped", async () => {
    await spareReady(gantry);
    await gantry.killAll();
    const [note] = notes(gantry);
    expect(folders(gantry)).toContain(note);
    await gantry.start();
    expect(folders(gantry)).not.toContain(note);
    await spareReady(gantry);
    expect(await gantry.stop()).toBe(0);
    expect(Object.values(gantry.processes()).flat()).toEqual([]);
    expect(notes(gantry)).toEqual([]);
  });
});

interface SandboxFacts {
  readonly state: string;
  readonly since: string | null;
  readonly position: number | null;
  readonly sleeps_at: string | null;
}
const sandboxOf = async (gantry: Gantry, sessionId: string): Promise<SandboxFacts> =>
  (await (await gantry.fetch(`/v1/sessions/${sessionId}/sandbox`)).json()) as SandboxFacts;
const untilState = (gantry: Gantry, sessionId: string, state: string): Promise<void> =>
  until(async () => (await sandboxOf(gantry, sessionId)).state === state, `the sandbox to be ${state}`);
const engineOf = (gantry: Gantry, sessionId: string): number[] =>
  gantry.processes().engine.filter((pid) => environmentOf(pid).includes(sessionId));

/** A run that stays until the file `go` is in the workspace. */
const untilGo = (text: string): string =>
  script(bash("touch began; for i in $(seq 1200); do [ -e go ] && break; sleep 0.05; done"), { text });
const began = (gantry: Gantry, sessionId: string): Promise<void> =>
  until(() => existsSync(join(gantry.workspace(sessionId), "began")), "the run to begin");
const letGo = (gantry: Gantry, sessionId: string): void => writeFileSync(join(gantry.workspace(sessionId), "go"), "");

describe("a sandbox that is not used", () => {
  let gantry: Gantry;
  beforeAll(async () => {
    gantry = await Gantry.start({ GANTRY_SLEEP_AFTER: "0.02", GANTRY_PERMISSION_MODE: "bypassPermissions" });
  });
  afterAll(() => gantry.remove());

  it("stops, with everything that ran in it, and goes on with the next prompt", async () => {
    const background = {
      tool: "Bash",
      input: { command: "trap '' TERM; while true; do sleep 0.1; done", run_in_background: true },
    };
    const { sessionId } = await gantry.run({ prompt: script(background, { text: "ok" }) });
    await gantry.run({ prompt: "Remember that the word is curlew", sessionId });
    await untilState(gantry, sessionId, "stopped");
    expect([...gantry.processes().engine, ...gantry.processes().child]).toEqual([]);
    expect(await sandboxOf(gantry, sessionId)).toMatchObject({ position: null, sleeps_at: null });
    const after = await gantry.run({ prompt: "What did I say before?", sessionId });
    expect(after.text).toContain("curlew");
  });

  it("starts ahead of a prompt when a client opens its session, once, and stops again", async () => {
    const { sessionId } = await gantry.run({ prompt: "Remember that the word is plover" });
    await untilState(gantry, sessionId, "stopped");
    // Looking at the list, at its log or at the sandbox itself is no reason.
    for (const path of ["/v1/sessions", `/v1/sessions/${sessionId}/events`, `/v1/sessions/${sessionId}/sandbox`])
      expect((await gantry.fetch(path)).status).toBe(200);
    expect((await sandboxOf(gantry, sessionId)).state).toBe("stopped");
    expect((await gantry.fetch(`/v1/sessions/${sessionId}`)).status).toBe(200);
    await until(() => engineOf(gantry, sessionId).length === 1, "its engine to start");
    await untilState(gantry, sessionId, "stopped");
    expect(engineOf(gantry, sessionId)).toEqual([]);
    const starts = (): number => gantry.logged('"engine_start"').filter((line) => line.includes(sessionId)).length;
    const before = starts();
    for (let each = 0; each < 3; each++) await gantry.fetch(`/v1/sessions/${sessionId}`);
    const stream = await gantry.fetch(`/v1/sessions/${sessionId}/events/stream`);
    const after = await gantry.run({ prompt: "What did I say before?", sessionId });
    await stream.body?.cancel();
    expect(after.text).toContain("plover");
    expect(starts()).toBe(before + 1);
  });

  it("is kept as long as its environment says", async () => {
    const environment = (await (
      await gantry.post("/v1/environments", { name: "slow", metadata: { sleep_after_minutes: "5" } })
    ).json()) as { id: string };
    const session = (await (await gantry.post("/v1/sessions", { environment_id: environment.id })).json()) as {
      id: string;
    };
    await gantry.run({ prompt: "What is 1 + 1?", sessionId: session.id });
    await untilState(gantry, session.id, "idle");
    const facts = await sandboxOf(gantry, session.id);
    expect(Date.parse(facts.sleeps_at ?? "") - Date.parse(facts.since ?? "")).toBeGreaterThan(290_000);
    const bad = await gantry.post("/v1/environments", { name: "odd", metadata: { sleep_after_minutes: "soon" } });
    expect([bad.status, await bad.text()]).toEqual([400, expect.stringContaining("metadata.sleep_after_minutes")]);
    // One machine has one kind of sandbox; a request for another kind is refused, not replaced.
    const large = await gantry.post("/v1/environments", { name: "odd", metadata: { sandbox_type: "large" } });
    expect([large.status, await large.text()]).toEqual([400, expect.stringContaining("metadata.sandbox_type")]);
  });
});

describe("the limit of engines", () => {
  let gantry: Gantry;
  beforeAll(async () => {
    gantry = await Gantry.start({ GANTRY_MAX_ENGINES: "1", GANTRY_PERMISSION_MODE: "bypassPermissions" });
  });
  afterAll(() => gantry.remove());

  /** Begins a run and gives its session without waiting for its end. */
  const begin = async (prompt: string): Promise<{ sessionId: string; end: Promise<Line | undefined> }> => {
    const stream = gantry.stream({ prompt });
    const first = (await stream.next()).value;
    const end = (async (): Promise<Line | undefined> => {
      let last: Line | undefined;
      for await (const line of stream) last = line;
      return last;
    })();
    return { sessionId: String(first?.["sessionId"]), end };
  };

  it("makes runs wait visibly and in order, and lets the next one start", async () => {
    const first = await begin(untilGo("first"));
    await began(gantry, first.sessionId);
    const second = await begin(untilGo("second"));
    await until(async () => (await sandboxOf(gantry, second.sessionId)).position === 0, "the second to wait");
    const third = await begin(untilGo("third"));
    await until(async () => (await sandboxOf(gantry, third.sessionId)).position === 1, "the third to wait");
    await until(async () => (await health(gantry)).waiting === 2, "two to be seen waiting");
    expect(await health(gantry)).toMatchObject({ engines: 1 });
    expect((await sandboxOf(gantry, third.sessionId)).state).toBe("starting");
    const told = (await gantry.log(third.sessionId)).find((event) => event.type === "sandbox.waiting");
    expect(told).toMatchObject({ position: 1 });
    for (const run of [first, second, third]) {
      await began(gantry, run.sessionId);
      expect((await sandboxOf(gantry, run.sessionId)).state).toBe("busy");
      expect(gantry.processes().engine.length).toBe(1);
      letGo(gantry, run.sessionId);
      expect(await run.end).toMatchObject({ type: "result" });
    }
    await until(async () => (await health(gantry)).waiting === 0, "no run to be seen waiting");
    // The engine of the first made way; its session goes on.
    expect((await sandboxOf(gantry, first.sessionId)).state).toBe("stopped");
    const again = await gantry.run({ prompt: "What is 6 * 7?", sessionId: first.sessionId });
    expect(again.text).toContain("42");
  });

  it("skips a run that no longer waits", async () => {
    const first = await begin(untilGo("first"));
    await began(gantry, first.sessionId);
    const second = await begin(untilGo("second"));
    await until(async () => (await sandboxOf(gantry, second.sessionId)).position === 0, "the second to wait");
    const sentAt = performance.now();
    await gantry.post(`/v1/sessions/${second.sessionId}/events`, { events: [{ type: "user.interrupt" }] });
    expect(await second.end).toMatchObject({ type: "error", error: "interrupted" });
    expect(performance.now() - sentAt).toBeLessThan(20_000);
    await untilState(gantry, second.sessionId, "stopped");
    await until(async () => (await health(gantry)).waiting === 0, "no run to be seen waiting");
    expect(await health(gantry)).toMatchObject({ engines: 1 });
    letGo(gantry, first.sessionId);
    expect(await first.end).toMatchObject({ type: "result" });
    expect(engineOf(gantry, second.sessionId)).toEqual([]);
  });

  it("counts no engine of a run that was stopped while its engine was starting", async () => {
    const run = await begin("What is 1 + 1?");
    await until(() => engineOf(gantry, run.sessionId).length > 0, "the engine to start");
    await gantry.post(`/v1/sessions/${run.sessionId}/events`, { events: [{ type: "user.interrupt" }] });
    await run.end;
    const next = await gantry.run({ prompt: "What is 3 * 3?" });
    expect(next.text).toContain("9");
    const again = await gantry.run({ prompt: "What is 4 * 4?", sessionId: run.sessionId });
    expect(again.text).toContain("16");
  });

  it("counts no engine of a runner that died, which the run reports", async () => {
    const run = await begin(untilGo("never"));
    await began(gantry, run.sessionId);
    gantry.kill("runner");
    expect(await run.end).toMatchObject({ type: "error", error: "sandbox_lost" });
    expect(["stopped", "lost"]).toContain((await sandboxOf(gantry, run.sessionId)).state);
    const again = await gantry.run({ prompt: "What is 5 * 5?", sessionId: run.sessionId });
    expect(again.text).toContain("25");
    await untilState(gantry, run.sessionId, "idle");
  });
});
