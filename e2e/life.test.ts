import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, script, until } from "./gantry.ts";

/** The life of a sandbox: engines that start before they are needed, rest, wait for a place, and end. */

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

  it("is taken by the next new session, which has all of its folders, and another one takes its place", async () => {
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
    gantry.kill("launcher", "workerd", "runner", "engine");
    await until(() => Object.values(gantry.processes()).flat().length === 0, "everything to be gone");
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
