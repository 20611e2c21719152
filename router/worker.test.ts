/** The router as deployed: bundled by wrangler, run by workerd, called over a socket. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Anthropic from "@anthropic-ai/sdk";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { delta, START, STOP } from "./testing/scripted-upstream.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const KEY = "router-key";
let folder: string;
let miniflare: Miniflare;
let url: string;
let leftEarly = 0;

/** Speaks Messages; a prompt of "hang" streams a beginning and falls silent. */
const provider = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (piece: string) => (body += piece));
  request.on("end", () => {
    response.on("close", () => {
      if (!response.writableEnded) leftEarly++;
    });
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(START + delta("Hel"));
    if (body.includes("hang")) return;
    response.end(delta("lo") + STOP);
  });
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "gantry-router-"));
  await promisify(execFile)(
    process.execPath,
    [
      join(ROOT, "node_modules/wrangler/bin/wrangler.js"),
      "deploy",
      "--dry-run",
      "-c",
      "router/wrangler.jsonc",
      "--outdir",
      folder,
    ],
    { cwd: ROOT, env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
  );
  const bundled = (await readdir(folder)).find((name) => name.endsWith(".yaml")) ?? "";
  const config = await readFile(join(folder, bundled), "utf8");
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  miniflare = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      telemetry: { enabled: false },
      handleStructuredLogs: () => undefined,
      workers: [
        {
          name: "gantry-router",
          modulesRoot: folder,
          modules: [
            { type: "ESModule", path: join(folder, "worker.js") },
            { type: "Text", path: join(folder, bundled) },
          ],
          compatibilityDate: "2026-10-15",
          compatibilityFlags: ["enable_request_signal"],
          bindings: {
            GANTRY_API_KEY: KEY,
            ANTHROPIC_BASE_URL: base,
            ANTHROPIC_API_KEY: "sk-ant-own",
            // The bundled file, with keep-alives that a test can wait for.
            LITELLM_CONFIG_TEXT: config.replace("router_settings:", "router_settings:\n  keepalive_interval: 1"),
          },
        },
      ],
    }),
  );
  url = (await miniflare.ready).href.replace(/\/$/, "");
}, 60_000);

afterAll(async () => {
  await miniflare.dispose();
  provider.closeAllConnections();
  provider.close();
  await rm(folder, { recursive: true });
});

describe("doors", () => {
  const auth = { "x-api-key": KEY };
  test.each<[method: string, path: string, headers: Record<string, string>, status: number]>([
    ["HEAD", "/", {}, 200],
    ["GET", "/", {}, 200],
    ["GET", "/health", {}, 200],
    ["GET", "/v1/models", {}, 401],
    ["GET", "/v1/models", { "x-api-key": "wrong" }, 401],
    ["GET", "/v1/models", auth, 200],
    ["GET", "/v1/models", { authorization: `Bearer ${KEY}` }, 200],
    ["POST", "/v1/models", auth, 405],
    ["GET", "/v1/messages", auth, 405],
    ["POST", "/v1/messages", {}, 401],
    ["POST", "/v1/messages/count_tokens", {}, 401],
    ["POST", "/v1/chat/completions", {}, 401],
    ["GET", "/nothing", auth, 404],
    ["POST", "/constructor", auth, 404],
  ])("%s %s %j: %i", async (method, path, headers, status) => {
    const response = await fetch(url + path, { method, headers, ...(method === "POST" ? { body: "{}" } : {}) });
    expect(response.status).toBe(status);
    if (status >= 400) expect(await response.json()).toMatchObject({ type: "error" });
    else await response.arrayBuffer();
  });

  test("health says ok", async () => {
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: "ok" });
  });
});

describe("clients", () => {
  test("@anthropic-ai/sdk, streamed through to the provider", async () => {
    const client = new Anthropic({ baseURL: url, apiKey: KEY, maxRetries: 0 });
    const message = await client.messages
      .stream({ model: "claude-sonnet-5", max_tokens: 50, messages: [{ role: "user", content: "Hi" }] })
      .finalMessage();
    expect(message.content).toMatchObject([{ type: "text", text: "Hello" }]);
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toContain("groq/openai/gpt-oss-120b");
    await expect(
      client.messages.create({ model: "groq/x", max_tokens: 1, messages: [{ role: "user", content: "x" }] }),
    ).rejects.toThrow(/GROQ_API_KEY/);
  });

  test("the demonstration model, counted and asked through openai", async () => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: KEY, maxRetries: 0 });
    const completion = await client.chat.completions.create({
      model: "demo/scripted",
      messages: [{ role: "user", content: "What is 7 * 6?" }],
    });
    expect(completion.choices[0]?.message.content).toContain("42");
    const anthropic = new Anthropic({ baseURL: url, apiKey: KEY });
    const count = await anthropic.messages.countTokens({
      model: "demo/scripted",
      messages: [{ role: "user", content: "Hi" }],
    });
    expect(count.input_tokens).toBeGreaterThan(0);
  });

  test("a client that leaves frees the provider at the next keep-alive", { timeout: 40_000 }, async () => {
    const client = new Anthropic({ baseURL: url, apiKey: KEY, maxRetries: 0 });
    const stream = client.messages.stream({
      model: "claude-sonnet-5",
      max_tokens: 50,
      messages: [{ role: "user", content: "hang" }],
    });
    const first = Promise.withResolvers<void>();
    stream.on("text", () => first.resolve());
    stream.on("error", () => undefined);
    stream.on("abort", () => undefined);
    await first.promise;
    stream.abort();
    await expect.poll(() => leftEarly, { timeout: 30_000, interval: 100 }).toBe(1);
  });
});
