import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { script, toChat, toMessages } from "./answers.ts";
import type { Answer, Script } from "./answers.ts";

/**
 * The provider behind everything that is measured: a separate program on loopback, started with an IPC channel, over
 * which it says its port and with which it ends.
 *
 * The first part of a path chooses how it answers, the end of it the dialect:
 * `/short` a few words · `/long` 200 pieces, each in its own turn of the event loop · `/slow` 100 pieces with a
 * pause between them · anything else a few words after a pause, counted under that name (`GET /counts` reads and
 * clears).
 */

const SCRIPTS: Readonly<Record<string, Script>> = {
  short: script(3, 0),
  long: script(100, 100),
  slow: script(50, 50),
};
const SLOW_PAUSE_MS = 200;
/** Pause of a counted name: `fast-5` answers after 5 ms. */
const COUNTED_PAUSE = /-(\d+)$/;

const MODEL = "bench-model";
const answers = new Map<string, { messages: Answer; chat: Answer }>(
  Object.entries(SCRIPTS).map(([name, each]) => [
    name,
    { messages: toMessages(each, MODEL), chat: toChat(each, MODEL) },
  ]),
);

interface Count {
  requests: number;
  inFlight: number;
  most: number;
}
const counts = new Map<string, Count>();

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const name = path.split("/")[1] ?? "";
  if (name === "counts") {
    response.end(JSON.stringify(Object.fromEntries(counts)));
    return counts.clear();
  }
  if (name === "ignored" || request.method !== "POST") {
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
    return;
  }
  const known = answers.get(name);
  const body = JSON.parse(Buffer.concat(chunks).toString()) as { stream?: boolean };
  const { messages, chat } = known ?? answers.get("short") ?? { messages: null, chat: null };
  const said = path.endsWith("/chat/completions") ? chat : messages;
  if (!said) throw new Error("no answer");
  if (!known) await counted(name, Number(COUNTED_PAUSE.exec(name)?.[1] ?? 0));
  if (body.stream !== true) {
    response.writeHead(200, { "content-type": "application/json", "content-length": said.whole.byteLength });
    response.end(said.whole);
    return;
  }
  response.socket?.setNoDelay(true);
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  for (const frame of said.frames) {
    if (response.destroyed) return;
    response.write(frame);
    // The other end reads one piece at a time, as from a real provider, but as fast as it can.
    if (name === "slow") await sleep(SLOW_PAUSE_MS);
    else await nextTurn();
  }
  response.end();
}

async function counted(name: string, pauseMs: number): Promise<void> {
  const count = counts.get(name) ?? { requests: 0, inFlight: 0, most: 0 };
  counts.set(name, count);
  count.requests += 1;
  count.inFlight += 1;
  count.most = Math.max(count.most, count.inFlight);
  await sleep(pauseMs);
  count.inFlight -= 1;
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    if (!response.headersSent) response.writeHead(500);
    response.end(String(error));
  });
});
server.keepAliveTimeout = 60_000;
server.listen({ port: 0, host: "127.0.0.1", backlog: 2_048 }, () => {
  const address = server.address();
  process.send?.({ port: typeof address === "object" && address ? address.port : 0 });
});
process.once("disconnect", () => process.exit(0));
