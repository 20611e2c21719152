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

async function inFifties<T>(count: number, make: (at: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  while (made.length < count)
    made.push(...(await Promise.all(Array.from({ length: 50 }, (_, at) => make(made.length + at)))));
  return made;
}

async function measure(scope: Scope, say: (line: string) => void): Promise<Table> {
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
  const made = await settled(gantry);
  say("measured with sessions");
  const sockets = await inFifties(SESSIONS, async (at) => {
    const url = `${gantry.url.replace("http", "ws")}/v1/sessions/${ids[at] ?? ""}/events/ws`;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${gantry.key}` } });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return socket;
  });
  const awake = memoryOf(gantry);
  const asleep = await settled(gantry);
  say("measured with listeners");
  const open = sockets.filter((socket) => socket.readyState === WebSocket.OPEN).length;
  if (open !== SESSIONS) throw new Error(`only ${open} sockets stayed open`);
  for (const socket of sockets) socket.terminate();

  const sum = (memory: Memory): number => memory.launcher + memory.workerd + memory.runner;
  const row = (name: string, memory: Memory, target = ""): string[] => [
    name,
    ...(["launcher", "workerd", "runner"] as const).map((part) => memory[part].toFixed(0)),
    memory === before ? "" : `+${(sum(memory) - sum(before)).toFixed(0)}`,
    target,
  ];
  return {
    columns: ["MB resident", "launcher", "workerd", "runner", "more than none", "target"],
    rows: [
      row("no sessions", before),
      row(`${SESSIONS} sessions, asleep`, made),
      row(`${SESSIONS} sessions with an open WebSocket, just opened`, awake),
      row(`the same, asleep`, asleep, "≤ +110"),
    ],
    notes: [
      `Once, on the started product; each row but the third ${EVICTION_MS / 1000} s after the last request. The sockets were open at the end. Sessions were made and never prompted: a session that was has its engine's transcript on disk and nothing more in memory once its engine has slept.`,
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
