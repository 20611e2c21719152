import { WebSocket } from "ws";
import { Gantry } from "@gantry/e2e/kit/gantry.ts";
import { rssMb } from "../kit/processes.ts";
import type { Group, Table } from "../kit/report.ts";
import { Scope } from "../kit/scope.ts";

/** What a thousand unused sessions cost, each with a listener. */

const SESSIONS = 1_000;
/** Sessions that arrive per second. */
const A_SECOND = 10;
/** Sessions awake at once while they arrive: an object sleeps after ten idle seconds. */
const AWAKE = 150;
const EVICTION_MS = 25_000;

type Memory = Record<"launcher" | "workerd" | "runner", number>;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until everything that can be evicted from memory is. */
async function settled(gantry: Gantry): Promise<Memory> {
  await pause(EVICTION_MS);
  const { launcher, workerd, runner } = gantry.processes();
  return { launcher: rssMb(launcher), workerd: rssMb(workerd), runner: rssMb(runner) };
}

/** A new session with an open WebSocket. */
async function listen(gantry: Gantry): Promise<WebSocket> {
  const { id } = (await (await gantry.post("/v1/sessions", {})).json()) as { id: string };
  const url = `${gantry.url.replace("http", "ws")}/v1/sessions/${id}/events/ws`;
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${gantry.key}` } });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
}

async function measure(scope: Scope, say: (line: string) => void): Promise<Table> {
  const gantry = await Gantry.start({ GANTRY_STATE: `${scope.folder}/state` });
  scope.defer(() => gantry.remove());
  process.prependOnceListener("exit", () => gantry.kill("launcher"));
  await gantry.run({ prompt: "What is 7 * 6?" });
  gantry.kill("engine");
  const fresh = await settled(gantry);
  say("measured after the start");
  for (const socket of await Promise.all(Array.from({ length: AWAKE }, () => listen(gantry)))) socket.terminate();
  const worked = await settled(gantry);
  say("measured with nobody listening");
  const sockets: WebSocket[] = [];
  while (sockets.length < SESSIONS) {
    const next = pause(1_000 / A_SECOND);
    sockets.push(await listen(gantry));
    await next;
  }
  const asleep = await settled(gantry);
  if (sockets.some((socket) => socket.readyState !== WebSocket.OPEN)) throw new Error("not all sockets stayed open");
  for (const socket of sockets) socket.terminate();

  const sum = (memory: Memory): number => memory.launcher + memory.workerd + memory.runner;
  const over = (memory: Memory, base: Memory): string => `+${(sum(memory) - sum(base)).toFixed(0)}`;
  const row = (name: string, memory: Memory, ...rest: string[]): string[] => [
    name,
    ...(["launcher", "workerd", "runner"] as const).map((part) => memory[part].toFixed(0)),
    ...rest,
  ];
  return {
    columns: ["MB resident", "launcher", "workerd", "runner", "over the start", "over no listeners", "target"],
    rows: [
      row("started, one prompt", fresh, "", "", ""),
      row(`${AWAKE} sessions were awake at once, no listeners`, worked, over(worked, fresh), "", ""),
      row(
        `${SESSIONS} more with an open WebSocket each, asleep`,
        asleep,
        over(asleep, fresh),
        over(asleep, worked),
        "≤ +110",
      ),
    ],
    notes: [
      `Measured once, on the started product, each row ${EVICTION_MS / 1000} s after the last request. Sessions arrive at ${A_SECOND} per second, and all sockets were still open at the end. The second row is memory that the allocators retain after the peak; it depends on how many sessions are awake at the same time, not on how many there are. The sessions never had a prompt: once its engine sleeps, a session that had one keeps its conversation on disk and nothing more in memory.`,
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
