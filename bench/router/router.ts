import { startLoad } from "../load/start.ts";
import type { Group, Table } from "../kit/report.ts";
import { Scope } from "../kit/scope.ts";
import { summarize, withSpread } from "../kit/statistics.ts";
import { startProvider } from "../upstream/start.ts";
import { measureCpu } from "./cpu.ts";
import type { Costs } from "./cpu.ts";
import { FLOOR, FLOOR_EACH_PIECE, OURS_PASSED_THROUGH, OURS_TRANSLATED, allLanes } from "./lanes.ts";
import { SLOW_CHUNKS, STREAMS, measureMemory } from "./memory.ts";
import type { Memory } from "./memory.ts";
import { measureSpread } from "./spread.ts";
import type { Share, Spread } from "./spread.ts";

/** What the model router costs, compared with the least any gateway can cost, and with other gateways. */

/** Pieces of the streams whose CPU time is measured. */
const CHUNKS = 200;

const COLUMNS = [
  "",
  "n",
  "CPU ms / 34 KB request",
  "× floor",
  "CPU ms / 200-chunk stream",
  "CPU µs / chunk",
  "× floor",
  "µs / chunk, many slow",
  "MB idle",
  `MB, ${STREAMS.toLocaleString("en")} streams`,
  "finished",
];

function toRow(name: string, costs: Costs | undefined, floor: Costs | undefined, memory: Memory | undefined): string[] {
  const cells = ["", "–", "–", "–", "–", "–", "–"];
  if (costs) {
    const whole = summarize(costs.whole);
    const stream = summarize(costs.stream);
    const times = (mine: number, least: number[] | undefined): string =>
      least ? (mine / summarize(least).median).toFixed(1) : "–";
    cells.splice(
      0,
      7,
      name,
      String(whole.n),
      withSpread(whole, 2),
      times(whole.median, floor?.whole),
      withSpread(stream, 1),
      ((stream.median * 1_000) / CHUNKS).toFixed(0),
      times(stream.median, floor?.stream),
    );
  }
  cells[0] = name;
  if (!memory || !costs) return [...cells, "–", "–", "–", "–"];
  const perChunkUs = ((memory.cpuMs - summarize(costs.whole).median) * 1_000) / SLOW_CHUNKS;
  return [...cells, perChunkUs.toFixed(0), memory.idleMb.toFixed(0), memory.mostMb.toFixed(0), String(memory.done)];
}

function toWords({ even, uneven, failed }: Spread): string {
  const words = (shares: readonly Share[]): string =>
    shares.map(({ deployment, requests, most }) => `\`${deployment}\` ${requests} (at most ${most})`).join(", ");
  return `Least-busy, 900 streams, 30 at once, each deployment answering after the milliseconds in its name; calls (most in hand at once): ${words(even)}; and ${words(uneven)}. Failed: ${failed}.`;
}

/** How much of the cost of a piece is Gantry's, and how much is workerd's. */
function overFloor(costs: ReadonlyMap<string, Costs>): string {
  const chunkUs = (name: string): number =>
    (summarize(costs.get(name)?.stream ?? [Number.NaN]).median * 1_000) / CHUNKS;
  const over = (name: string): string => (chunkUs(name) - chunkUs(FLOOR_EACH_PIECE)).toFixed(0);
  return `Over the second floor ours takes ${over(OURS_PASSED_THROUGH)} µs a chunk passed through and ${over(OURS_TRANSLATED)} µs translated.`;
}

export const router: Group = {
  name: "router",
  async run(say): Promise<Table> {
    await using scope = new Scope();
    const provider = await startProvider(scope);
    const load = await startLoad(scope);
    const { lanes, missing } = await allLanes(scope);
    const notes = [
      "One request after another, slices of 1.5 s in rotating order; CPU time of the gateway's processes, user and system, from `/proc`. Medians, [least..90th percentile].",
      "The request is 34 KB with 14 tools, as Claude Code sends it. A stream is 100 pieces of text and a tool call in 100 pieces of arguments, each written in its own turn of the event loop; µs / chunk is the whole stream, request included, divided by 200.",
      `The remaining columns: a fresh process with ${STREAMS.toLocaleString("en")} streams at once, ${SLOW_CHUNKS} pieces 200 ms apart, measured once; CPU time per piece (without the request), peak resident memory, and streams that ended properly. In the columns before, pieces arrive as fast as they are read, and a gateway may find several at once; here each arrives alone.`,
      "The first floor is a Worker in bare workerd that passes request and answer on unread. The second passes each piece of the answer through JavaScript, unread: the least that any translating Worker must spend. Gantry's router runs in the same bare workerd, built as it is deployed, and checks its API key. Targets: ≤ 3 × floor per request, ≤ 30 µs per chunk.",
      ...missing,
    ];
    const { costs, failures } = await measureCpu(lanes, `${provider.url}/long`, load, say);
    notes.push(...failures, overFloor(costs));
    const memory = new Map<string, Memory>();
    for (const lane of lanes) {
      if (!costs.has(lane.name)) continue;
      say(`memory: ${lane.name}`);
      const measured = await measureMemory(scope, lane, `${provider.url}/slow`, load);
      memory.set(lane.name, measured);
      if (measured.failed > 0) notes.push(`${lane.name}: ${measured.failed} streams failed (${measured.why}).`);
    }
    const translated = lanes.find((lane) => lane.name === OURS_TRANSLATED);
    if (translated) notes.push(toWords(await measureSpread(scope, translated, provider.url, load)));
    const floor = costs.get(FLOOR);
    return {
      columns: COLUMNS,
      rows: lanes.map(({ name }) => toRow(name, costs.get(name), floor, memory.get(name))),
      notes,
    };
  },
};
