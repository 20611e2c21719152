import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { watchHealth } from "./watch-health.ts";

let server: Server;
let stop = (): void => {};
afterEach(() => {
  stop();
  server.closeAllConnections();
  server.close();
});

/** Something that answers as `now.state` says, watched with short times. Its story is what the watcher says and does. */
async function world(pauseMs: number, restart: (now: { state: string }) => void = () => {}) {
  const now = { state: "ok", room: true, looks: 0 };
  server = createServer((_request, response) => {
    now.looks += 1;
    if (now.state === "silent") return;
    if (now.state === "ok") response.end("{}");
    else if (now.state === "forbidden") response.writeHead(403).end("no");
    else response.writeHead(503).end(JSON.stringify({ unavailable: [now.state] }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const story: Record<string, unknown>[] = [];
  stop = watchHealth({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`,
    everyMs: 5,
    answerMs: 200,
    failures: 3,
    pauseMs,
    mostMs: pauseMs * 4,
    canHelp: () => now.room,
    restart: () => restart(now),
    say: (entry) => story.push(entry),
  });
  const restarts = (): number => story.filter(({ event }) => event === "restarted_for_health").length;
  return { now, story, restarts };
}

const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 5 });

describe("what watches over health", () => {
  it.each([
    ["catalog", "catalog"],
    ["silent", "no answer"],
  ])("restarts what is %s, and says why and when it is well again", async (state, why) => {
    const { now, story } = await world(60_000, (place) => (place.state = "ok"));
    now.state = state;
    await eventually(() => expect(story.length).toBeGreaterThanOrEqual(2));
    expect(story.slice(0, 2)).toEqual([
      { event: "not_well", why },
      { event: "restarted_for_health", why, looks: 3, notAgainForMs: 60_000 },
    ]);
    expect(now.state).toBe("ok");
  });

  it.each(["ok", "forbidden"])("leaves alone what is %s", async (state) => {
    const { now, story } = await world(60_000);
    now.state = state;
    await eventually(() => expect(now.looks).toBeGreaterThan(8));
    expect(story).toEqual([]);
  });

  it("does not restart again before its time, and waits longer when that did not help", async () => {
    const { now, story } = await world(150);
    now.state = "catalog";
    await eventually(() => expect(story.filter(({ event }) => event === "restarted_for_health")).toHaveLength(4));
    expect(story.flatMap(({ notAgainForMs }) => notAgainForMs ?? [])).toEqual([150, 300, 600, 600]);
    expect(now.looks).toBeGreaterThan(12);
  });

  it("does not restart on a full disk, and does when there is room again", async () => {
    const { now, restarts } = await world(60_000, (place) => (place.state = "ok"));
    now.room = false;
    now.state = "catalog";
    await eventually(() => expect(now.looks).toBeGreaterThan(12));
    expect(restarts()).toBe(0);
    now.room = true;
    await eventually(() => expect(restarts()).toBe(1));
  });
});
