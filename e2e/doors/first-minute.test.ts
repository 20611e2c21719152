import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script } from "../kit/gantry.ts";

/** What a newcomer does in the first minute, without a provider key, an account or Docker. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start();
});
afterAll(() => gantry.remove());

describe("the first minute", () => {
  it("says where it is, shows a key and a line to paste", () => {
    expect(gantry.output).toContain(`Gantry is ready at http://127.0.0.1:${gantry.port}`);
    expect(gantry.output).toContain(gantry.key);
    expect(gantry.output).toMatch(/curl -N .*What is 7 \* 6\?.*\/claude-code/);
    expect(gantry.output).toMatch(/demo\/scripted.*demonstration/);
    expect(gantry.output).toMatch(/Sandbox:\s+weak/);
  });

  it("answers 42 in a stream that ends in a result", async () => {
    const { lines, last, text } = await gantry.run({ prompt: "What is 7 * 6?" });
    expect(lines[0]).toMatchObject({ type: "status", status: "queued" });
    expect(text).toContain("42");
    expect(last).toMatchObject({
      type: "result",
      result: expect.stringContaining("42"),
      sessionId: expect.stringMatching(/^sesn_/),
      requestId: expect.stringMatching(/^req_/),
    });
  });

  it("takes the body as curl sends it and streams text/plain", async () => {
    const response = await gantry.fetch("/claude-code", {
      method: "POST",
      body: '{"prompt":"What is 7 * 6?"}',
      headers: { "content-type": "application/x-www-form-urlencoded" },
    });
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    const lines = (await response.text()).trim().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ type: "result", result: expect.stringContaining("42") });
  });

  it("answers one JSON object when asked not to stream, with messages when verbose", async () => {
    const response = await gantry.post("/claude-code", { prompt: "What is 7 * 6?", stream: false });
    expect(response.status).toBe(200);
    const answer = (await response.json()) as Record<string, unknown>;
    expect(answer).toMatchObject({
      type: "result",
      result: expect.stringContaining("42"),
      sessionId: expect.any(String),
      requestId: response.headers.get("x-request-id"),
    });
    expect(answer).not.toHaveProperty("messages");
    const verbose = (await (
      await gantry.post("/claude-code", { prompt: "What is 7 * 6?", stream: false, verbose: true })
    ).json()) as { messages: unknown[] };
    expect(verbose.messages.length).toBeGreaterThan(1);
  });

  it("really writes and runs a program where it may", async () => {
    const { last, sessionId, lines } = await gantry.run({
      prompt: "Create a hello world app",
      permissionMode: "bypassPermissions",
    });
    expect(last.type).toBe("result");
    expect(lines.filter((line) => line.type === "tool_call").map((line) => line["tool"])).toEqual(["Write", "Bash"]);
    expect(
      lines.some(
        (line) => line.type === "tool_result" && /hello/i.test(String(line["result"])) && line["tool"] === "Bash",
      ),
    ).toBe(true);
    expect(existsSync(join(gantry.workspace(sessionId), "hello.js"))).toBe(true);
  });

  it("says plainly what the permission mode did not allow, and how to allow it", async () => {
    const { lines, last, text } = await gantry.run({ prompt: "Create a hello world app" });
    const denied = lines.find((line) => line.type === "permission_denied");
    expect(denied).toMatchObject({ tool: "Bash", hint: expect.stringContaining("bypassPermissions") });
    expect(last.type).toBe("result");
    expect(text).toMatch(/bypassPermissions|permission/i);
  });

  it("creates a file with the text it was given", async () => {
    const { sessionId } = await gantry.run({ prompt: "create notes.txt containing Remember the milk" });
    expect(readFileSync(join(gantry.workspace(sessionId), "notes.txt"), "utf8")).toContain("Remember the milk");
  });

  it("shows health without a key, and its front page", async () => {
    const health = await fetch(`${gantry.url}/health`);
    expect(health.status).toBe(200);
    expect(await health.json()).toMatchObject({
      status: "ok",
      model: "demo/scripted",
      sandbox: { level: "weak", reachable: true },
    });
    // One word for it everywhere: the start screen's, too.
    const words = ["/debug", "/container/health"].map(async (path) => {
      const said = (await (await gantry.fetch(path)).json()) as { level?: string; sandbox?: { level: string } };
      return said.level ?? said.sandbox?.level;
    });
    expect(await Promise.all(words)).toEqual(["weak", "weak"]);
    expect((await fetch(`${gantry.url}/`)).status).toBe(200);
  });

  it("serves Anthropic's own client the same answer", async () => {
    const client = clientOf(gantry);
    const message = await client.messages.create({
      model: "demo/scripted",
      max_tokens: 100,
      messages: [{ role: "user", content: "What is 7 * 6?" }],
    });
    expect(message.content).toMatchObject([{ type: "text", text: expect.stringContaining("42") }]);
    const streamed = client.messages.stream({
      model: "demo/scripted",
      max_tokens: 100,
      messages: [{ role: "user", content: "What is 7 * 6?" }],
    });
    expect(await streamed.finalText()).toContain("42");
    const count = await client.messages.countTokens({
      model: "demo/scripted",
      messages: [{ role: "user", content: "What is 7 * 6?" }],
    });
    expect(count.input_tokens).toBeGreaterThan(0);
  });

  it("lets text through while the model still streams", async () => {
    const { lines } = await gantry.run({
      prompt: script({ text: "one two three four five six seven eight", chunk: 4, chunkMs: 300 }),
    });
    const pieces = lines.filter((line) => line.type === "assistant");
    expect(pieces.length).toBeGreaterThan(4);
    expect((pieces.at(-1)?.cameAtMs ?? 0) - (pieces[0]?.cameAtMs ?? 0)).toBeGreaterThan(1000);
  });
});

describe("bad input", () => {
  const prompt = "What is 7 * 6?";
  const cases: [string, unknown, number, Record<string, unknown>][] = [
    ["no prompt", {}, 400, { error: "invalid_request", field: "prompt" }],
    ["an empty prompt", { prompt: "  " }, 400, { field: "prompt" }],
    ["a prompt that is no text", { prompt: 7 }, 400, { field: "prompt" }],
    ["a stream that is no boolean", { prompt, stream: "yes" }, 400, { field: "stream" }],
    ["a negative maxTurns", { prompt, maxTurns: -1 }, 400, { field: "maxTurns" }],
    ["a fraction of maxTurns", { prompt, maxTurns: 1.5 }, 400, { field: "maxTurns" }],
    [
      "an unknown model",
      { prompt, model: "nobody/knows" },
      400,
      { field: "model", message: expect.stringContaining("demo/*") },
    ],
    ["an unknown permission mode", { prompt, permissionMode: "yolo" }, 400, { field: "permissionMode" }],
    ["an unknown field", { prompt, promt: "typo" }, 400, { field: "promt" }],
    [
      "a session that does not exist",
      { prompt, sessionId: "sesn_00000000000000000000000000000000000a" },
      404,
      { error: "not_found" },
    ],
    ["a session id of another form", { prompt, sessionId: "../../etc" }, 404, { error: "not_found" }],
    [
      "a flag that is not allowed",
      { prompt, additionalArgs: ["--verbose", "--mcp-config", "x"] },
      400,
      { field: "additionalArgs[1]", message: expect.stringContaining("--mcp-config") },
    ],
    ["a flag without its value", { prompt, additionalArgs: ["--max-turns"] }, 400, { field: "additionalArgs[0]" }],
    ["a flag with a bad value", { prompt, additionalArgs: ["--max-turns=-3"] }, 400, { field: "additionalArgs[0]" }],
    [
      "a bad mode in a flag",
      { prompt, additionalArgs: ["--permission-mode", "yolo"] },
      400,
      { field: "permissionMode" },
    ],
  ];
  it.each(cases)("refuses %s", async (_name, body, status, error) => {
    const response = await gantry.post("/claude-code", body);
    expect([response.status, await response.json()]).toMatchObject([status, { type: "error", ...error }]);
  });

  it("refuses JSON that is none, other UTF, and too much", async () => {
    const send = async (body: string | Uint8Array<ArrayBuffer>): Promise<[number, unknown]> => {
      const response = await gantry.fetch("/claude-code", { method: "POST", body });
      return [response.status, ((await response.json()) as { error: unknown }).error];
    };
    expect(await send("{")).toEqual([400, "malformed_json"]);
    expect(await send(new Uint8Array([0x22, 0xff, 0x22]))).toEqual([400, "malformed_json"]);
    expect(await send("[]")).toEqual([400, "invalid_request"]);
    expect(await send(JSON.stringify({ prompt: "x".repeat(10 * 1024 * 1024) }))).toEqual([413, "body_too_large"]);
  });

  it("wants a key on everything but the front page and health", async () => {
    const routes: [string, string][] = [
      ["POST", "/claude-code"],
      ["POST", "/v1/messages"],
      ["POST", "/v1/messages/count_tokens"],
      ["POST", "/v1/sessions/sesn_00000000000000000000000000000000000a/events"],
      ["GET", "/v1/sessions/sesn_00000000000000000000000000000000000a/events"],
      ["GET", "/v1/sessions/sesn_00000000000000000000000000000000000a/events/stream"],
      ["GET", "/no/such/route"],
    ];
    for (const [method, path] of routes) {
      for (const headers of [
        {},
        { authorization: "Bearer wrong" },
        { "x-api-key": "wrong" },
        { authorization: "Bearer gst_sesn_00000000000000000000000000000000000a.x" },
      ]) {
        const response = await fetch(gantry.url + path, {
          method,
          headers: headers as Record<string, string>,
          ...(method === "POST" ? { body: "{}" } : {}),
        });
        expect([path, headers, response.status]).toEqual([path, headers, 401]);
      }
    }
    const withHeader = await fetch(`${gantry.url}/v1/messages`, {
      method: "POST",
      headers: { "x-api-key": gantry.key },
      body: "{}",
    });
    expect(withHeader.status).toBe(400);
  });

  it("does not answer to other names or to other sites' pages", async () => {
    const { request } = await import("node:http");
    const status = (headers: Record<string, string>): Promise<number> =>
      new Promise((resolve, reject) => {
        request(`${gantry.url}/health`, { headers }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
          .on("error", reject)
          .end();
      });
    expect(await status({})).toBe(200);
    expect(await status({ host: `localhost:${gantry.port}` })).toBe(200);
    expect(await status({ host: `evil.example:${gantry.port}` })).toBe(403);
    expect(await status({ origin: "http://evil.example" })).toBe(403);
    expect(await status({ origin: "null" })).toBe(403);
    expect(await status({ origin: gantry.url })).toBe(200);
  });
});
