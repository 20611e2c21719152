import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Gantry, ROOT, script, until } from "../kit/gantry.ts";

/** The prompt doors, request for request. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions", GANTRY_API_KEY: "a-key-of-my-own" });
});
afterAll(() => gantry.remove());

interface Message {
  type: string;
  content: string;
  timestamp: number;
  seq: number;
  data?: Record<string, unknown>;
}

/** A client of `/demo/ws/{name}`. */
class Client {
  readonly messages: Message[] = [];
  readonly socket: WebSocket;
  closed = false;

  constructor(name: string, query = "", protocols?: string[]) {
    const url = `${gantry.url.replace("http", "ws")}/demo/ws/${name}${query}`;
    this.socket = protocols
      ? new WebSocket(url, protocols)
      : new WebSocket(url, { headers: { authorization: `Bearer ${gantry.key}` } });
    this.socket.on("message", (data: Buffer) => this.messages.push(JSON.parse(data.toString()) as Message));
    this.socket.on("close", () => (this.closed = true));
    this.socket.on("error", () => (this.closed = true));
  }

  async say(message: unknown): Promise<void> {
    await until(() => this.socket.readyState !== WebSocket.CONNECTING, "the socket to open");
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  until(condition: (message: Message) => boolean, what: string): Promise<void> {
    return until(() => this.messages.some(condition), what);
  }
}

const isEnd = (message: Message): boolean => message.type === "status" && message.content === "idle";

describe("WebSocket /demo/ws/{sessionId}", () => {
  it("takes a user message and reports what happens as it happens", async () => {
    const client = new Client("session123");
    await client.say({
      type: "user_message",
      content: "Create a hello world app",
      model: "demo/scripted",
      timestamp: 1703123456789,
    });
    await client.until(isEnd, "the end");
    const types = client.messages.map((message) => message.type);
    expect(types).toContain("tool_use");
    expect(types).toContain("file_change");
    expect(types).toContain("result");
    for (const message of client.messages)
      expect(message).toMatchObject({ content: expect.any(String), timestamp: expect.any(Number) });
    client.socket.close();
  });

  it("continues after a reconnect with nothing missed and nothing twice", async () => {
    const first = new Client("reconnect");
    await first.say({
      type: "user_message",
      content: script(
        { text: "one", tool: "Bash", input: { command: "for i in 1 2 3 4 5 6; do sleep 0.2; done" } },
        { text: "two" },
      ),
    });
    await first.until((message) => message.type === "tool_use", "the tool");
    first.socket.terminate();
    const after = first.messages.at(-1)?.seq ?? 0;
    const second = new Client("reconnect", `?after=${after}`);
    await second.until(isEnd, "the end");
    const whole = new Client("reconnect", "?after=0");
    await whole.until(isEnd, "the end");
    expect([...first.messages, ...second.messages]).toEqual(whole.messages);
    for (const client of [second, whole]) client.socket.close();
  });

  it("remembers the conversation and the model by the session's name", async () => {
    const client = new Client("memory");
    await client.say({ type: "user_message", content: "Remember that my dog is called Pixel", model: "demo/other" });
    await client.until(isEnd, "the end");
    client.socket.close();
    const again = new Client("memory", `?after=${client.messages.at(-1)?.seq}`);
    await again.say({ type: "user_message", content: "What did I say before?" });
    await again.until((message) => message.type === "result", "an answer");
    expect(again.messages.find((message) => message.type === "result")?.content).toContain("Pixel");
    expect(again.messages.find((message) => message.content === "running")?.data).toMatchObject({
      model: "demo/other",
    });
    again.socket.close();
  });

  it.each([
    ["no JSON", "{", /not JSON/],
    ["another type", { type: "agent_response", content: "x" }, /type/],
    ["no content", { type: "user_message" }, /content/],
    ["an unknown model", { type: "user_message", content: "x", model: "nobody/knows" }, /model.*demo/],
    ["an unknown field", { type: "user_message", content: "x", modle: "y" }, /modle/],
  ])("answers %s with an error and stays open", async (_name, message, error) => {
    const client = new Client("errors");
    await client.say(message);
    await client.until((m) => m.type === "error" && error.test(m.content), "the error");
    expect(client.closed).toBe(false);
    client.socket.close();
  });

  it("wants a key, also as a browser would bring it", async () => {
    const without = new Client("k", "", ["gantry"]);
    await until(() => without.closed, "the refusal");
    const wrong = new Client("k", "", ["gantry", "key.wrong"]);
    await until(() => wrong.closed, "the refusal");
    const right = new Client("k", "", ["gantry", `key.${gantry.key}`]);
    await until(() => right.socket.readyState === WebSocket.OPEN, "the socket to open");
    expect(right.socket.protocol).toBe("gantry");
    right.socket.close();
  });

  it("survives the death of the Worker for a client that comes back", async () => {
    const client = new Client("killed");
    await client.say({
      type: "user_message",
      content: script(
        { tool: "Bash", input: { command: "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; done; echo done" } },
        { text: "survived" },
      ),
    });
    await client.until((message) => message.type === "tool_use", "the tool");
    gantry.kill("workerd");
    await until(() => client.closed, "the socket to break");
    await until(
      async () => (await fetch(`${gantry.url}/health`).catch(() => null))?.status === 200,
      "the Worker to be back",
    );
    const again = new Client("killed", `?after=${client.messages.at(-1)?.seq}`);
    await again.until((message) => message.type === "result" && message.content === "survived", "the answer");
    again.socket.close();
  });
});

describe("POST /agent/message", () => {
  it("answers in the documented form", async () => {
    const response = await gantry.post("/agent/message", { message: "Create a hello world app" });
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { status: "Message processed", timestamp: expect.any(Number) },
    ]);
  });

  it("is the same session as the WebSocket's of that name", async () => {
    await gantry.post("/agent/message", { message: "Remember that the code is 4711", sessionId: "shared" });
    const client = new Client("shared");
    await client.until((message) => message.type === "result", "the history");
    await client.say({ type: "user_message", content: "What did I say before?" });
    await client.until((message) => message.type === "result" && message.content.includes("4711"), "the memory");
    client.socket.close();
  });
});

describe("POST /query", () => {
  it("answers in the documented form", async () => {
    const response = await gantry.post("/query", { query: "What is 2+2?" });
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { success: true, response: expect.stringContaining("4") },
    ]);
  });

  it("says Unauthorized without a key and with a wrong one", async () => {
    for (const headers of [{}, { authorization: "Bearer nope" }]) {
      const response = await fetch(`${gantry.url}/query`, {
        method: "POST",
        body: '{"query":"x"}',
        headers: headers as Record<string, string>,
      });
      expect([response.status, response.statusText, await response.json()]).toMatchObject([
        401,
        "Unauthorized",
        { success: false, error: "Unauthorized" },
      ]);
    }
  });

  it("runs the queries of one account in order and of two side by side", async () => {
    const order = join(gantry.state, "order");
    const slow = (name: string, seconds: number): string =>
      script(
        {
          tool: "Bash",
          input: { command: `for i in $(seq ${seconds * 10}); do sleep 0.1; done; echo ${name} >> ${order}` },
        },
        { text: name },
      );
    await gantry.post("/query", { query: "What is 1+1?", accountId: "a" });
    const sent = [gantry.post("/query", { query: slow("a1", 4), accountId: "a" })];
    await new Promise((resolve) => setTimeout(resolve, 300));
    sent.push(
      gantry.post("/query", { query: slow("a2", 0), accountId: "a" }),
      gantry.post("/query", { query: slow("b1", 0), accountId: "b" }),
    );
    await Promise.all(sent);
    expect(existsSync(order)).toBe(true);
    const lines = readFileSync(order, "utf8").trim().split("\n");
    expect(lines.indexOf("a1")).toBeLessThan(lines.indexOf("a2"));
    expect(lines.indexOf("b1")).toBeLessThan(lines.indexOf("a1"));
  });
});

describe("GET /debug", () => {
  it.each(["/debug", "/claude-code/debug"])("%s shows how the server is set up and no secret", async (path) => {
    const response = await gantry.fetch(path);
    const text = await response.text();
    expect(response.status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({
      model: "demo/scripted",
      environment: { GANTRY_API_KEY: "[set]", RUNNER_TOKEN: "[set]" },
    });
    expect(text).not.toContain(gantry.key);
  });
});

describe("what the local runtime brings along", () => {
  it.each([
    "/cdn-cgi/local/r2/public/gantry-files/x",
    "/cdn-cgi/local/r2/s3/gantry-files",
    "/cdn-cgi/local/explorer",
    "/cdn-cgi/local/platform-proxy",
    "/cdn-cgi/local/scheduled",
  ])("is not there: %s wants a key like everything else", async (path) => {
    expect((await fetch(gantry.url + path)).status).toBe(401);
    expect((await gantry.fetch(path)).status).toBe(404);
  });
});

describe("the scripts for an installation", () => {
  const run = (file: string, ...args: string[]) => {
    const env = { PATH: process.env["PATH"] ?? "", GANTRY_API_KEY: gantry.key };
    return new Promise<{ code: number | null; output: string }>((resolve) => {
      const child = spawn("bash", [join(ROOT, file), ...args], { env });
      let output = "";
      for (const stream of [child.stdout, child.stderr])
        stream.on("data", (data: Buffer) => (output += data.toString()));
      child.on("close", (code) => resolve({ code, output }));
    });
  };

  it("test.sh proves it", async () => {
    const { code, output } = await run("test.sh", gantry.port);
    expect([code, output.match(/^ok /gm)?.length]).toEqual([0, 5]);
  });

  it("test.sh says what is wrong", async () => {
    expect((await run("test.sh", "1")).code).not.toBe(0);
  });

  it("test-claude-code.sh exercises the door", async () => {
    const { code, output } = await run("test-claude-code.sh", gantry.url);
    expect(code).toBe(0);
    expect(output.match(/"type":"result"/g)?.length).toBeGreaterThanOrEqual(4);
    expect(output).toContain("maxTurns");
  });
});
