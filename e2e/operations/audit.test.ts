import type { AuditEntry } from "@gantry/protocol/api/keys.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";
import { makeKey } from "../kit/keys.ts";

/** The audit log of what the objects of sessions do, which hear of the database only afterwards. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start();
});
afterAll(() => gantry.remove());

const AGENT = { model: "demo/scripted", name: "Tester" };

describe("the audit log", () => {
  it("has what happens to sessions, their runs and what waits in them", async () => {
    const { key, id } = await makeKey(gantry, { scopes: ["admin"], account: "audited-sessions" });
    const mine = clientOf(gantry, key).beta;
    const agent = await mine.agents.create({
      ...AGENT,
      tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: { type: "always_ask" } } }],
    });
    const environment = await mine.environments.create({ name: "x" });
    const session = await mine.sessions.create({ agent: agent.id, environment_id: environment.id });
    await mine.sessions.update(session.id, { title: "t" });
    const say = (text: string) =>
      mine.sessions.events.send(session.id, { events: [{ type: "user.message", content: [{ type: "text", text }] }] });
    const ask = { tool: "Bash", input: { command: "touch x" } };
    await say(script(ask, { text: "done" }));
    const waiting = async (): Promise<{ tool_use_id: string; run_id: string }[]> => {
      const answer = await fetch(`${gantry.url}/v1/approvals`, { headers: { "x-api-key": key } });
      return ((await answer.json()) as { data: { tool_use_id: string; run_id: string }[] }).data;
    };
    await until(async () => (await waiting()).length === 1, "a question");
    const [question] = await waiting();
    const { tool_use_id = "", run_id = "" } = question ?? {};
    await mine.sessions.events.send(session.id, {
      events: [{ type: "user.tool_confirmation", tool_use_id, result: "deny" }],
    });
    await until(async () => (await mine.sessions.retrieve(session.id)).status === "idle", "the end");
    await say(script(ask, { text: "done" }));
    await until(async () => (await waiting()).length === 1, "another question");
    const second = (await waiting())[0]?.run_id ?? "";
    expect(second).not.toBe(run_id);
    await fetch(`${gantry.url}/v1/sessions/${session.id}/runs/${second}/cancel`, {
      method: "POST",
      headers: { "x-api-key": key },
    });
    await mine.sessions.archive(session.id);
    await mine.sessions.archive(session.id);
    await until(
      () =>
        mine.sessions.delete(session.id).then(
          () => true,
          () => false,
        ),
      "the run to end and the session to be deleted",
    );
    const entries = async (): Promise<string[]> => {
      const answer = await fetch(`${gantry.url}/v1/audit?limit=100`, { headers: { "x-api-key": key } });
      const { data } = (await answer.json()) as { data: AuditEntry[] };
      return data
        .filter(({ action }) => /^(session|run|approval)/.test(action))
        .map((e) => `${e.action} ${e.target} ${e.key_id}`);
    };
    const wanted = [
      `session.create ${session.id} ${id}`,
      `session.update ${session.id} ${id}`,
      `approval.answer ${tool_use_id} ${id}`,
      `run.cancel ${second} ${id}`,
      `session.archive ${session.id} ${id}`,
      `session.delete ${session.id} ${id}`,
    ];
    await until(async () => (await entries()).length >= wanted.length, "the log to hear of it");
    expect((await entries()).toSorted()).toEqual(wanted.toSorted());
  });
});
