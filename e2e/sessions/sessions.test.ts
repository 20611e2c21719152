import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, ROOT, script } from "../kit/gantry.ts";
import { bash, sessionStories } from "../stories/sessions.ts";

/** Sessions on one machine: the stories that hold everywhere, and what only this machine's disk and processes show. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start({
    GANTRY_PERMISSION_MODE: "bypassPermissions",
    MARK: "launcher-only",
    ANTHROPIC_API_KEY: "sk-ant-e2e-secret",
    MODEL: "demo/scripted",
  });
});
afterAll(() => gantry.remove());

sessionStories({
  client: () => gantry,
  leftovers: () => Promise.resolve(gantry.processes().child.length),
});

describe("a session on this machine", () => {
  it("reads, edits and runs something in a clone of this repository, and the edit is on disk", async () => {
    const first = await gantry.run({
      prompt: script(bash(`git clone -q ${ROOT} . && git log --oneline | tail -1`), { text: "cloned" }),
    });
    expect(first.last).toMatchObject({ type: "result", result: "cloned" });
    const { sessionId } = first;
    const workspace = gantry.workspace(sessionId);
    const file = join(workspace, "LICENSE");
    expect(existsSync(file)).toBe(true);
    const steps = script(
      { tool: "Read", input: { file_path: file } },
      { tool: "Edit", input: { file_path: file, old_string: "MIT License", new_string: "MIT Licence, edited" } },
      bash("head -1 LICENSE && git diff --stat"),
      { text: "edited" },
    );
    const { lines, last } = await gantry.run({ prompt: steps, sessionId, maxTurns: 10 });
    expect(last).toMatchObject({ type: "result", result: "edited", sessionId });
    expect(lines.filter((line) => line.type === "tool_result").map((line) => line["isError"])).toEqual([
      false,
      false,
      false,
    ]);
    expect(lines.findLast((line) => line.type === "tool_result")?.["result"]).toMatch(
      /^MIT Licence, edited\n.*LICENSE/s,
    );
    expect(readFileSync(file, "utf8")).toMatch(/^MIT Licence, edited/);
    expect(execFileSync("git", ["-C", workspace, "status", "--short"], { encoding: "utf8" })).toBe(" M LICENSE\n");
  });

  it("keeps its engine: the second prompt starts none", async () => {
    const { sessionId } = await gantry.run({ prompt: "What is 1 + 1?" });
    const before = gantry.processes().engine.length;
    await gantry.run({ prompt: "What is 2 + 2?", sessionId });
    expect(gantry.processes().engine.length).toBe(before);
  });

  it("gives the engine no key and nothing of the launcher's environment", async () => {
    const { lines } = await gantry.run({ prompt: script(bash("printenv"), { text: "ok" }) });
    const printed = String(lines.find((line) => line.type === "tool_result")?.["result"]);
    expect(printed).toContain("ANTHROPIC_BASE_URL=");
    expect(printed).not.toContain("sk-ant-e2e-secret");
    expect(printed).not.toContain(gantry.key);
    expect(printed).not.toContain("launcher-only");
    const token = /ANTHROPIC_AUTH_TOKEN=(\S+)/.exec(printed)?.[1] ?? "";
    expect(token).toMatch(/^gst_sesn_/);
    // The session's token opens the model doors and no other.
    expect(
      (
        await fetch(`${gantry.url}/claude-code`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}` },
          body: '{"prompt":"x"}',
        })
      ).status,
    ).toBe(401);
    const model = await fetch(`${gantry.url}/v1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ model: "demo/scripted", max_tokens: 10, messages: [{ role: "user", content: "hi" }] }),
    });
    expect(model.status).toBe(200);
    expect(
      (
        await fetch(`${gantry.url}/v1/messages`, {
          method: "POST",
          headers: { authorization: `Bearer ${token.slice(0, -1)}${token.endsWith("x") ? "y" : "x"}` },
          body: "{}",
        })
      ).status,
    ).toBe(401);
  });
});

describe("what fails upstream", () => {
  it.each([
    ["401", { fail: { status: 401 } }, 401],
    ["529", { fail: { status: 529 } }, 529],
  ])("%s becomes an error that keeps the upstream's status apart", async (_name, step, upstreamStatus) => {
    const response = await gantry.post("/claude-code", { prompt: `${Math.random()} ${script(step)}`, stream: false });
    const body = await response.json();
    expect([response.status, body]).toMatchObject([502, { type: "error", error: "upstream_error", upstreamStatus }]);
  });
});
