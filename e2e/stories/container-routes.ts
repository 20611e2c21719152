import { describe, expect, it } from "vitest";
import type { Client } from "../kit/client.ts";
import { script, until } from "../kit/client.ts";

/** The container server alone, wherever it runs: the runner's program, and a model that it can call. */
export class ContainerServer {
  readonly url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.#token = token;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, { headers: { authorization: `Bearer ${this.#token}` }, ...init });
  }

  post(body: unknown): Promise<Response> {
    return this.fetch("/", { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) });
  }
}

/** Environment of the container server, without the address and the key of its models. */
export const VARIABLES = {
  ANTHROPIC_MODEL: "demo/scripted",
  CLAUDE_PROMPT: "What is 6 * 6?",
  CLAUDE_STREAM: "false",
  CLAUDE_MAX_TURNS: "5",
};

export interface ContainerSetting {
  readonly container: () => ContainerServer;
  /** The `ANTHROPIC_BASE_URL` and `ANTHROPIC_AUTH_TOKEN` in its environment. */
  readonly modelsUrl: () => string;
  readonly secret: () => string;
}

/** What holds for the container server's own routes, in the program on this machine and in the image. */
export function containerStories({ container, modelsUrl, secret }: ContainerSetting): void {
  describe("POST /", () => {
    it("answers the request of the founding documents", async () => {
      const response = await container().post({ prompt: "What is 2+2?", model: "demo/scripted" });
      expect([response.status, await response.json()]).toMatchObject([
        200,
        {
          type: "result",
          result: expect.stringContaining("4"),
          sessionId: expect.stringMatching(/^sesn_/),
          requestId: expect.any(String),
        },
      ]);
    });

    it("takes from the environment what the body leaves out, and the body wins", async () => {
      const fromEnvironment = (await (await container().post("")).json()) as { result: string };
      expect(fromEnvironment.result).toContain("36");
      const fromBody = (await (await container().post({ prompt: "What is 7 * 6?" })).json()) as { result: string };
      expect(fromBody.result).toContain("42");
      const stream = await container().post({ stream: true });
      expect(stream.headers.get("content-type")).toContain("text/plain");
      const lines = (await stream.text())
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { type: string });
      expect(lines.map((line) => line.type)).toEqual(expect.arrayContaining(["assistant", "result"]));
    });

    it("streams lines as things happen", async () => {
      const response = await container().post({
        prompt: script(
          { text: "first", tool: "Bash", input: { command: "for i in $(seq 15); do sleep 0.1; done" } },
          { text: "second" },
        ),
        stream: true,
        permissionMode: "full",
      });
      const came: { type: string; at: number }[] = [];
      for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? [])
        for (const line of text.split("\n").filter(Boolean))
          came.push({ ...(JSON.parse(line) as { type: string }), at: Date.now() });
      const at = (type: string): number => came.find((line) => line.type === type)?.at ?? 0;
      expect(came.map((line) => line.type)).toEqual(
        expect.arrayContaining(["assistant", "tool_call", "tool_result", "result"]),
      );
      expect(at("result") - at("tool_call")).toBeGreaterThan(1_000);
    });

    it("takes everything that the founding documents' bridge sends, and continues the session of that name", async () => {
      const request = {
        model: "demo/scripted",
        sessionId: "demo-abc123",
        continueSession: true,
        cwd: "/workspace",
        stream: true,
        verbose: false,
        maxTurns: 10,
        permissionMode: "acceptEdits",
        systemPrompt: "",
      };
      const first = await container().post({ ...request, prompt: "Remember that the code is 4711" });
      await first.text();
      const again = await container().post({ ...request, prompt: "What did I say before?" });
      expect(await again.text()).toContain("4711");
      expect(again.headers.get("x-session-id")).toBe(first.headers.get("x-session-id"));
      const other = await container().post({ ...request, continueSession: false, prompt: "What did I say before?" });
      expect(await other.text()).not.toContain("4711");
    });

    it("keeps requests apart: each has its own session", async () => {
      const answers = await Promise.all(
        ["What is 1 + 1?", "What is 3 + 3?"].map(
          async (prompt) =>
            (await container().post({ prompt })).json() as Promise<{ sessionId: string; result: string }>,
        ),
      );
      expect(new Set(answers.map((answer) => answer.sessionId)).size).toBe(2);
      expect(answers[0]?.result).toContain("2");
      expect(answers[1]?.result).toContain("6");
    });

    it("stops the run of a client that goes away", async () => {
      const cut = new AbortController();
      const response = await container().fetch("/", {
        method: "POST",
        signal: cut.signal,
        body: JSON.stringify({
          prompt: script({ tool: "Bash", input: { command: "for i in $(seq 600); do sleep 0.1; done" } }),
          stream: true,
          permissionMode: "full",
        }),
      });
      const running = async (): Promise<string[]> =>
        ((await (await container().fetch("/status")).json()) as { running: string[] }).running;
      const id = response.headers.get("x-session-id") ?? "";
      await until(async () => (await running()).includes(id), "the run to begin");
      cut.abort();
      await until(async () => !(await running()).includes(id), "the run to be stopped");
    });

    it.each<[name: string, body: unknown, status: number, says: object]>([
      ["no JSON", "{", 400, { error: "malformed_json" }],
      ["an unknown field", { promt: "x" }, 400, { error: "invalid_request", field: "promt" }],
      ["a wrong type", { prompt: "x", maxTurns: -1 }, 400, { error: "invalid_request", field: "maxTurns" }],
      ["an empty prompt", { prompt: " " }, 400, { error: "invalid_request", field: "prompt" }],
      ["another folder", { prompt: "x", cwd: "/etc" }, 400, { error: "invalid_request", field: "cwd" }],
      [
        "a name that is a path",
        { prompt: "x", sessionId: "../../x" },
        400,
        { error: "invalid_request", field: "sessionId" },
      ],
    ])("refuses %s", async (_name, body, status, says) => {
      const response = await container().post(body);
      expect([response.status, await response.json()]).toMatchObject([
        status,
        { type: "error", requestId: expect.any(String), ...says },
      ]);
    });

    it("ends with the run's own error when it fails", async () => {
      const response = await container().post({ prompt: "x", model: "nobody/knows" });
      expect([response.status, await response.json()]).toMatchObject([502, { type: "error", error: "upstream_error" }]);
    });
  });

  describe("the other routes", () => {
    it.each(["/", "/health", "/debug", "/status"])("GET %s needs the token", async (path) => {
      expect((await fetch(container().url + path)).status).toBe(401);
      expect((await container().fetch(path)).status).toBe(200);
    });

    it("GET / reports that it is healthy, as the founding documents say", async () => {
      expect(await (await container().fetch("/")).json()).toEqual({
        status: "healthy",
        service: "claude-code-container",
        timestamp: expect.stringMatching(/^\d{4}-/),
      });
    });

    it("GET /health has memory, processor and uptime", async () => {
      expect(await (await container().fetch("/health")).json()).toMatchObject({
        status: "ok",
        uptimeSeconds: expect.any(Number),
        memory: { rssBytes: expect.any(Number), totalBytes: expect.any(Number) },
        cpu: { count: expect.any(Number), load: expect.any(Array) },
      });
    });

    it("GET /debug shows no secret", async () => {
      const text = await (await container().fetch("/debug")).text();
      expect(JSON.parse(text)).toMatchObject({
        apiConfiguration: { ANTHROPIC_BASE_URL: `${modelsUrl()}/`, ANTHROPIC_AUTH_TOKEN: "[REDACTED]" },
        processInfo: { pid: expect.any(Number), uptime: expect.any(Number), memoryUsage: expect.any(Object) },
      });
      expect(text).not.toContain(secret());
    });

    it("another address is 404", async () => {
      expect((await container().fetch("/nothing")).status).toBe(404);
    });
  });
}

/** What holds of the Worker's door to a container, whichever sandbox is behind it. */
export function containerDoorStories(client: () => Client): void {
  describe("the Worker's door to a container", () => {
    it("POST /container/process runs a prompt in a sandbox of its own", async () => {
      const response = await client().post("/container/process", {
        type: "prompt",
        payload: { prompt: "What is 7 * 6?" },
        config: { model: "demo/scripted" },
      });
      expect([response.status, await response.json()]).toMatchObject([
        200,
        { success: true, result: expect.stringContaining("42"), sessionId: response.headers.get("x-session-id") },
      ]);
    });

    it("says where issues are taken", async () => {
      const response = await client().post("/container/process", { type: "process_issue", payload: {}, config: {} });
      expect([response.status, await response.json()]).toMatchObject([
        400,
        { field: "type", message: expect.stringContaining("/webhook/github") },
      ]);
    });
  });
}
