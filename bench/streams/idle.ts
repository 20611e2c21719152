import { WebSocket } from "ws";
import { Gantry } from "@gantry/e2e/gantry.ts";
import { rssMb } from "../processes.ts";
import type { Group, Table } from "../report.ts";
import { Scope } from "../scope.ts";

/** What a thousand sessions cost that nobody talks to, each with a listener. */

const SESSIONS = 1_000;
/** workerd puts an object out of memory after ten seconds without anything to do. */
const EVICTION_MS = 20_000;

type Memory = Record<"launcher" | "workerd" | "runner", number>;

function memoryOf(gantry: Gantry): Memory {
  const { launcher, workerd, runner } = gantry.processes();
  return { launcher: rssMb(launcher), workerd: rssMb(workerd), runner: rssMb(runner) };
}

/** Waits until everything that can be put out of memory is. */
async function settled(gantry: Gantry): Promise<Memory> {
  await new Promise((resolve) => setTimeout(resolve, EVICTION_MS));
  return memoryOf(gantry);
}

/** Sessions that come in a second where they come one after the other. */
const A_SECOND = 10;

/** The same thousand from a fresh start, as users come: each makes its session and opens its WebSocket, ten a second. */
async function arriving(scope: Scope): Promise<{ before: Memory; asleep: Memory }> {
  const gantry = await Gantry.start({ GANTRY_STATE: `${scope.folder}/arriving` });
  scope.defer(() => gantry.remove());
  process.prependOnceListener("exit", () => gantry.kill("launcher"));
  await gantry.run({ prompt: "What is 7 * 6?" });
  gantry.kill("engine");
  const before = await settled(gantry);
  const sockets: WebSocket[] = [];
  for (let count = 0; count < SESSIONS; count++) {
    const next = new Promise((resolve) => setTimeout(resolve, 1_000 / A_SECOND));
    const { id } = (await (await gantry.post("/v1/sessions", {})).json()) as { id: string };
    sockets.push(await listen(gantry, id));
    await next;
  }
  const asleep = await settled(gantry);
  if (sockets.some((socket) => socket.readyState !== WebSocket.OPEN)) throw new Error("not all sockets stayed open");
  for (const socket of sockets) socket.terminate();
  await gantry.stop();
  return { before, asleep };
}

async function listen(gantry: Gantry, id: string): Promise<WebSocket> {
  const url = `${gantry.url.replace("http", "ws")}/v1/sessions/${id}/events/ws`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${gantry.key}` } });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
}

async function inFifties<T>(count: number, make: (at: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  while (made.length < count)
    made.push(...(await Promise.all(Array.from({ length: 50 }, (_, at) => make(made.length + at)))));
  return made;
}

async function measure(scope: Scope, say: (line: string) => void): Promise<Table> {
  const came = await arriving(scope);
  say("measured as they come");
  const gantry = await Gantry.start({ GANTRY_STATE: `${scope.folder}/state` });
  scope.defer(() => gantry.remove());
  process.prependOnceListener("exit", () => gantry.kill("launcher"));
  const newSession = async (): Promise<string> =>
    ((await (await gantry.post("/v1/sessions", {})).json()) as { id: string }).id;

  // The first of everything loads code.
  await newSession();
  await gantry.run({ prompt: "What is 7 * 6?" });
  gantry.kill("engine");
  const before = await settled(gantry);
  say("measured without sessions");
  const ids = await inFifties(SESSIONS, newSession);
  const open = (): Promise<WebSocket[]> => inFifties(SESSIONS, (at) => listen(gantry, ids[at] ?? ""));
  // Once all of it and back to nothing: what an allocator keeps for later it keeps from here on.
  for (const socket of await open()) socket.close();
  const made = await settled(gantry);
  say("measured with sessions");
  const sockets = await open();
  const awake = memoryOf(gantry);
  const asleep = await settled(gantry);
  say("measured with listeners");
  const left = sockets.filter((socket) => socket.readyState === WebSocket.OPEN).length;
  if (left !== SESSIONS) throw new Error(`only ${left} sockets stayed open`);
  for (const socket of sockets) socket.terminate();

  const signed = (mb: number): string => `${mb < 0 ? "" : "+"}${mb.toFixed(0)}`;
  const sum = (memory: Memory): number => memory.launcher + memory.workerd + memory.runner;
  const row = (name: string, memory: Memory, first: Memory, second: Memory, target = ""): string[] => [
    name,
    ...(["launcher", "workerd", "runner"] as const).map((part) => memory[part].toFixed(0)),
    memory === first ? "" : signed(sum(memory) - sum(first)),
    memory === first || memory === second ? "" : signed(sum(memory) - sum(second)),
    target,
  ];
  return {
    columns: [
      "MB resident",
      "launcher",
      "workerd",
      "runner",
      "over none",
      "over those that were awake before",
      "target",
    ],
    rows: [
      row("started, no sessions", came.before, came.before, came.before),
      row(
        `${SESSIONS} with an open WebSocket each, come ${A_SECOND} a second, asleep`,
        came.asleep,
        came.before,
        came.asleep,
        "≤ +110",
      ),
      row("another start, no sessions", before, before, made),
      row(`${SESSIONS} that all had a WebSocket at once, asleep`, made, before, made),
      row("the same with an open WebSocket each, just opened", awake, before, made),
      row("with an open WebSocket each, asleep", asleep, before, made),
    ],
    notes: [
      `Once, on the started product; each row but the fifth ${EVICTION_MS / 1000} s after the last request. The sockets were open at the end. An object falls asleep after ten seconds: how many are awake at a time decides what the allocators take, and they keep it for the next that wake (fourth row). Sessions were made and never prompted: a session that was has its engine's transcript on disk and nothing more in memory once its engine has slept.`,
    ],
  };
}

export const idle: Group = {
  name: "idle",
  async run(say) {
    await using scope = new Scope();
    return measure(scope, say);
  },
};
