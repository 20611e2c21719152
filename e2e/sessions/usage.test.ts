import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, script, until } from "../kit/gantry.ts";

/** Tokens and money: counted where the model is called, and a limit that holds. */

let gantry: Gantry;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gantry-usage-"));
  const config = join(folder, "routes.yaml");
  // A price for the demonstration, so that there is something to spend: a cent a thousand tokens.
  writeFileSync(
    config,
    "model_list:\n  - model_name: demo/*\n    litellm_params:\n      model: demo/*\n    model_info:\n      input_cost_per_token: 0.00001\n      output_cost_per_token: 0.00001\n",
  );
  gantry = await Gantry.start({ LITELLM_CONFIG: config, GANTRY_SESSION_BUDGET_USD: "0.5" });
});
afterAll(async () => {
  await gantry.remove();
  rmSync(folder, { recursive: true });
});

interface Row {
  requests: number;
  failed_requests: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number;
  session_id: string | null;
  key_id: string | null;
}
const usage = async (query = ""): Promise<Row[]> =>
  ((await (await gantry.fetch(`/v1/usage${query}`)).json()) as { data: Row[] }).data;

describe("usage", () => {
  it("is counted by session and by key, as the upstream said it", async () => {
    const { sessionId } = await gantry.run({
      prompt: script({ text: "one", usage: { input_tokens: 1000, output_tokens: 500 } }),
    });
    await until(async () => (await usage(`?session_id=${sessionId}`)).length > 0, "the call to be counted");
    expect(await usage(`?session_id=${sessionId}`)).toMatchObject([
      { requests: 1, failed_requests: 0, input_tokens: 1000, output_tokens: 500, key_id: null, session_id: sessionId },
    ]);
    expect((await usage(`?session_id=${sessionId}`))[0]?.cost_usd).toBeCloseTo(0.015);
    await gantry.post("/v1/messages", {
      model: "demo/scripted",
      max_tokens: 10,
      messages: [{ role: "user", content: "hi" }],
    });
    await until(
      async () => (await usage("?key_id=admin")).some((row) => row.requests > 0),
      "the direct call to be counted",
    );
  });

  it("counts a call that failed", async () => {
    const { sessionId } = await gantry.run({ prompt: script({ fail: { status: 403 } }) });
    await until(
      async () => (await usage(`?session_id=${sessionId}`)).some((row) => row.failed_requests > 0),
      "the failed call to be counted",
    );
  });

  it("is the same after everything was killed and started again", async () => {
    const before = await usage();
    await gantry.killAll();
    await gantry.start(gantry.port);
    expect(await usage()).toEqual(before);
  });
});

describe("a budget", () => {
  it("ends the session's spending before the next call, and other sessions go on", async () => {
    const { sessionId, last } = await gantry.run({
      prompt: script({ text: "dear", usage: { input_tokens: 60_000, output_tokens: 10 } }),
    });
    expect(last.type).toBe("result");
    await until(async () => (await usage(`?session_id=${sessionId}`)).length > 0, "the call to be counted");
    const refused = await gantry.post("/claude-code", { prompt: "What is 1 + 1?", sessionId, stream: false });
    expect([refused.status, await refused.json()]).toMatchObject([
      502,
      { error: "upstream_error", upstreamStatus: 402, message: expect.stringContaining("budget") },
    ]);
    const other = await gantry.run({ prompt: "What is 1 + 1?" });
    expect(other.text).toContain("2");
  });
});
