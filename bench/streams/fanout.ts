import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildWorker } from "@gantry/local/build.ts";
import { WebSocket } from "ws";
import type { Group, Table } from "../kit/report.ts";
import { Scope } from "../kit/scope.ts";
import { rotate, summarize, withSpread } from "../kit/statistics.ts";
import { byLines, byWebSocket } from "./listeners.ts";
import type { Listeners } from "./listeners.ts";
import { EVENTS_A_COMMIT } from "./scripted-runner.ts";

/** How fast the events of one session reach a hundred listeners. */

const LISTENERS = 100;
const EVENTS = 2_000;
const ROUNDS = 7;
const KEY = "bench-key-of-fan-out";
const AUTH = { authorization: `Bearer ${KEY}` };

/** A way from an event to its listeners. */
interface Lane {
  readonly name: string;
  readonly listeners: Listeners;
  /** Makes `EVENTS` events happen. */
  start(): Promise<unknown> | void;
  readonly rates: number[];
}

/** Starts a program of this folder; resolves with its address. */
function start(scope: Scope, file: URL, args: readonly string[]): Promise<string> {
  const child = scope.spawn(process.execPath, [fileURLToPath(file), ...args], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  return new Promise((resolve, reject) => {
    child.once("message", (address) => resolve(address as string));
    child.once("exit", () => reject(new Error(`${file.pathname} ended`)));
  });
}

async function bareLane(scope: Scope): Promise<Lane> {
  const url = await start(scope, new URL("./bare.ts", import.meta.url), []);
  const starter = new WebSocket(url);
  await new Promise((resolve) => starter.once("open", resolve));
  starter.on("message", () => null);
  const listeners = await byWebSocket(LISTENERS - 1, url, {});
  return { name: "bare `ws`, one frame per event", listeners, start: () => starter.send(String(EVENTS)), rates: [] };
}

async function ourLane(url: string, name: string, listen: (sessionId: string) => Promise<Listeners>): Promise<Lane> {
  const made = await fetch(`${url}/v1/sessions`, { method: "POST", headers: AUTH, body: "{}" });
  const { id } = (await made.json()) as { id: string };
  const content = [{ type: "text", text: String(EVENTS) }];
  const body = JSON.stringify({ events: [{ type: "user.message", content }] });
  const send = async (): Promise<void> => {
    const response = await fetch(`${url}/v1/sessions/${id}/events`, { method: "POST", headers: AUTH, body });
    if (!response.ok) throw new Error(await response.text());
  };
  return { name, listeners: await listen(id), start: send, rates: [] };
}

async function measure(scope: Scope, say: (line: string) => void): Promise<Lane[]> {
  await buildWorker();
  const state = join(scope.folder, "state");
  mkdirSync(state);
  const url = await start(scope, new URL("./product.ts", import.meta.url), [state, KEY]);
  const ws = url.replace("http", "ws");
  const lanes = [
    await bareLane(scope),
    await ourLane(url, "ours, WebSocket, one frame per commit", (id) =>
      byWebSocket(LISTENERS, `${ws}/v1/sessions/${id}/events/ws`, AUTH),
    ),
    await ourLane(url, "ours, NDJSON", (id) =>
      byLines(LISTENERS, `${url}/v1/sessions/${id}/events/stream`, { ...AUTH, accept: "application/x-ndjson" }),
    ),
    await ourLane(url, "ours, server-sent events", (id) =>
      byLines(LISTENERS, `${url}/v1/sessions/${id}/events/stream`, { ...AUTH, accept: "text/event-stream" }),
    ),
    await ourLane(url, "ours, `/demo/ws`, one frame per event", (id) =>
      byWebSocket(LISTENERS, `${ws}/demo/ws/${id}`, AUTH, '"type":"result"'),
    ),
  ];
  for (let round = 0; round <= ROUNDS; round++) {
    for (const lane of rotate(lanes, round)) {
      const arrived = lane.listeners.until(EVENTS);
      const startedAt = performance.now();
      await lane.start();
      await arrived;
      // The first round warms up.
      if (round > 0) lane.rates.push((EVENTS / (performance.now() - startedAt)) * 1000);
    }
    say(`round ${round} of ${ROUNDS} done`);
  }
  for (const lane of lanes) lane.listeners.close();
  return lanes;
}

function toTable(lanes: readonly Lane[]): Table {
  const floor = summarize(lanes[0]?.rates ?? []).median;
  return {
    columns: ["", "n", "events/s", "× bare", "target"],
    rows: lanes.map(({ name, rates }, at) => {
      const rate = summarize(rates);
      return [name, String(rate.n), withSpread(rate), (rate.median / floor).toFixed(2), at === 1 ? "≥ 1.0" : ""];
    }),
    notes: [
      `${EVENTS} events of about 250 bytes to ${LISTENERS} listeners in one program; measured from the prompt to the last event at the last listener. Medians, [least..90th percentile], lanes in rotating order.`,
      `Gantry: a runner makes events as fast as they are stored, ${EVENTS_A_COMMIT} per commit; each is in SQLite before any listener sees it, and a listener that is cut off can resume. The bare server keeps nothing.`,
    ],
  };
}

export const fanout: Group = {
  name: "fanout",
  async run(say) {
    await using scope = new Scope();
    return toTable(await measure(scope, say));
  },
};
