/** A thousand streams at once over sockets, with failing providers: all end, the load is even, and none stays in flight. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { effects } from "./base/effects.ts";
import type { UsageRecord } from "./base/usage.ts";
import { parseRouterConfig } from "./config/config.ts";
import { createRouter, type Router } from "./router.ts";
import { delta, START, STOP } from "./testing/scripted-upstream.ts";
import { serveRouter, type ServedRouter } from "./testing/serve.ts";

const STREAMS = 1_000;
const PROVIDERS = 4;
/** Of a hundred requests at each provider: refused before the stream, and broken in the middle of it. */
const REFUSED = 10;
const BROKEN = 5;

interface Provider {
  readonly server: Server;
  /** Streams that were begun. */
  begun: number;
  open: number;
  mostOpen: number;
}

const providers: Provider[] = [];
/** Streams that wait for all others to have begun, so that a thousand are open at once. */
const waiting: (() => void)[] = [];
let router: Router;
let served: ServedRouter;
const records: UsageRecord[] = [];

function startProvider(): Promise<Provider> {
  let asked = 0;
  const provider: Provider = { server: createServer(), begun: 0, open: 0, mostOpen: 0 };
  provider.server.on("request", (request, response: ServerResponse) => {
    request.resume().on("end", () => {
      const nth = asked++ % 100;
      if (nth < REFUSED) {
        response.writeHead(529, { "content-type": "application/json" });
        response.end('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}');
        return;
      }
      provider.begun++;
      provider.mostOpen = Math.max(provider.mostOpen, ++provider.open);
      response.on("close", () => provider.open--);
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(START);
      waiting.push(() => {
        response.write(delta("some words "));
        if (nth < REFUSED + BROKEN) response.destroy();
        else response.end(delta("and more") + STOP);
      });
    });
  });
  return new Promise((resolve) => provider.server.listen(0, "127.0.0.1", () => resolve(provider)));
}

beforeAll(async () => {
  for (let n = 0; n < PROVIDERS; n++) providers.push(await startProvider());
  const entries = providers.map(({ server }) => {
    const { port } = server.address() as AddressInfo;
    return `{model_name: m, litellm_params: {model: anthropic/up, api_base: "http://127.0.0.1:${port}", api_key: k}}`;
  });
  const { config } = parseRouterConfig(
    `model_list: [${entries.join(", ")}]\nrouter_settings: {routing_strategy: least-busy, num_retries: 6, disable_cooldowns: true}`,
  );
  router = createRouter(config, { ...effects, env: {}, log: () => {}, onUsage: (record) => records.push(record) });
  served = await serveRouter(router);
});
afterAll(async () => {
  await served.close();
  for (const { server } of providers) {
    server.closeAllConnections();
    server.close();
  }
});

test("a thousand streams at once", { timeout: 120_000 }, async () => {
  const body = JSON.stringify({
    model: "m",
    stream: true,
    max_tokens: 100,
    messages: [{ role: "user", content: "Hi" }],
  });
  const clients = Array.from({ length: STREAMS }, async (_, n) => {
    const client = new AbortController();
    const response = await fetch(`${served.url}/v1/messages`, { method: "POST", body, signal: client.signal });
    expect(response.status).toBe(200);
    // Every twentieth client leaves in the middle.
    if (n % 20 === 0) {
      await response.body?.getReader().read();
      client.abort();
      return "left";
    }
    const text = await response.text();
    return text.endsWith(STOP) ? "whole" : text.includes("event: error") ? "cut" : "lost";
  });
  // All are open at once, except perhaps those of clients that already left.
  await expect.poll(() => waiting.length, { timeout: 60_000, interval: 20 }).toBe(STREAMS);
  const spread = providers.map(({ mostOpen }) => mostOpen);
  const inFlight = router.inFlight;
  for (const go of waiting) go();
  const ends = await Promise.all(clients);

  expect(ends.filter((end) => end === "left")).toHaveLength(STREAMS / 20);
  expect(ends.filter((end) => end === "lost")).toEqual([]);
  const cut = ends.filter((end) => end === "cut").length;
  expect(cut).toBeGreaterThan(0);
  expect(cut).toBeLessThan(STREAMS * 0.1);
  // Even to within a tenth, although every provider refuses some calls and breaks others.
  for (const most of spread) expect(Math.abs(most - STREAMS / PROVIDERS)).toBeLessThanOrEqual(STREAMS / PROVIDERS / 10);
  expect(inFlight).toBeLessThanOrEqual(STREAMS);
  expect(inFlight).toBeGreaterThan(STREAMS * 0.9);
  await expect.poll(() => records.length, { timeout: 20_000 }).toBe(STREAMS);
  await expect.poll(() => router.inFlight).toBe(0);
  await expect.poll(() => providers.map(({ open }) => open)).toEqual([0, 0, 0, 0]);
  const outcomes = Object.groupBy(records, ({ outcome }) => outcome);
  expect(outcomes.cancelled?.length).toBe(STREAMS / 20);
  expect(outcomes.failed).toBeUndefined();
  expect(outcomes.cut?.length).toBeGreaterThanOrEqual(cut);
});
