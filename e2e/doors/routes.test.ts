import { createServer } from "node:http";
import type { IncomingHttpHeaders, Server } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoUpstream } from "@gantry/router/upstreams/demo.ts";
import { requestOf } from "@gantry/router/testing/request-of.ts";
import type { MessagesBody } from "@gantry/router/request/request.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, script } from "../kit/gantry.ts";

/** `anthropic/*` sent to another server: the real engine reaches it through our router, with that server's own key. */

const seen: { url: string; headers: IncomingHttpHeaders; body: MessagesBody }[] = [];
let upstream: Server;
let gantry: Gantry;
let folder: string;

beforeAll(async () => {
  upstream = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const raw = Buffer.concat(chunks);
      const body = JSON.parse(raw.toString()) as MessagesBody;
      seen.push({ url: request.url ?? "", headers: request.headers, body });
      const deployment = {
        id: "d",
        route: "r",
        provider: "demo",
        model: body.model,
        apiBase: "",
        apiFormat: "demo",
        params: {},
      };
      const answer = await demoUpstream(
        {
          request: await requestOf(body),
          kind: "messages",
          inbound: new Headers(),
          search: "",
          requestId: "req_upstream",
          deployment: deployment as never,
          signal: new AbortController().signal,
          onUsage: () => {},
        },
        {
          fetch,
          now: Date.now,
          random: Math.random,
          sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
          newId: (prefix) => `${prefix}_${Math.random().toString(36).slice(2)}`,
        },
      );
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      for await (const piece of answer.body ?? []) response.write(piece);
      response.end();
    })();
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const address = upstream.address();
  folder = mkdtempSync(join(tmpdir(), "gantry-routes-"));
  const config = join(folder, "routes.yaml");
  writeFileSync(
    config,
    `model_list:\n  - model_name: anthropic/*\n    litellm_params:\n      model: anthropic/*\n      api_base: http://127.0.0.1:${typeof address === "object" ? address?.port : 0}\n      api_key: os.environ/ELSEWHERE_KEY\n`,
  );
  gantry = await Gantry.start({
    LITELLM_CONFIG: config,
    ELSEWHERE_KEY: "sk-elsewhere-secret",
    MODEL: "anthropic/claude-sonnet-5",
    GANTRY_PERMISSION_MODE: "bypassPermissions",
  });
});
afterAll(async () => {
  await gantry.remove();
  upstream.close();
  rmSync(folder, { recursive: true });
});

describe("a route to another server", () => {
  it("carries the real engine, which never sees the key", async () => {
    const { lines, last } = await gantry.run({
      prompt: script({ tool: "Bash", input: { command: "printenv" } }, { text: "through" }),
    });
    expect(last).toMatchObject({ type: "result", result: "through" });
    expect(seen.length).toBe(2);
    for (const { url, headers, body } of seen) {
      expect(url).toBe("/v1/messages?beta=true");
      expect(headers["x-api-key"]).toBe("sk-elsewhere-secret");
      expect(headers.authorization).toBeUndefined();
      expect(headers["anthropic-version"]).toBeDefined();
      expect(body.model).toBe("claude-sonnet-5");
    }
    const printed = String(lines.find((line) => line.type === "tool_result")?.["result"]);
    expect(printed).toContain("ANTHROPIC_BASE_URL=");
    expect(printed).not.toContain("sk-elsewhere-secret");
    expect(JSON.stringify(lines)).not.toContain("sk-elsewhere-secret");
  });
});
