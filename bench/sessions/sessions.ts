import { buildWorker } from "@gantry/local/build.ts";
import { rssMb } from "../kit/processes.ts";
import type { Group, Table } from "../kit/report.ts";
import { Scope } from "../kit/scope.ts";
import { differenceOf, rotate, summarize, withSpread } from "../kit/statistics.ts";
import { startProvider } from "../upstream/start.ts";
import { LiveBare, coldQuery } from "./bare.ts";
import {
  endOtherEngines,
  gantryEnvironment,
  openSession,
  runPrompt,
  runPromptWithoutSpare,
  spareReady,
  startGantry,
} from "./ours.ts";
import { npmStart } from "./start.ts";
import type { Started } from "./start.ts";
import { PROMPT } from "./timing.ts";
import type { Timing } from "./timing.ts";

/** What Gantry adds to the Agent SDK's time, and what it saves by keeping engines alive. */

const ROUNDS = 15;
/** Pairs of live prompts per round: the sides differ by less than each of them varies, so there are many. */
const LIVE_A_ROUND = 10;
const STARTS = 9;
/** Pause after an engine has ended or started, so that the system's own clean-up is not measured. */
const SETTLE_MS = 150;

interface Measured {
  readonly bareCold: Timing[];
  readonly bareLive: Timing[];
  readonly oursNew: Timing[];
  readonly oursCold: Timing[];
  readonly oursOpened: Timing[];
  readonly oursAsleep: Timing[];
  readonly oursLive: Timing[];
  readonly starts: Started[];
  /** Without engines, after all prompts. */
  readonly workedMb: number;
}

async function measure(scope: Scope, say: (line: string) => void): Promise<Measured> {
  const bareCold: Timing[] = [];
  const bareLive: Timing[] = [];
  const oursNew: Timing[] = [];
  const oursCold: Timing[] = [];
  const oursOpened: Timing[] = [];
  const oursAsleep: Timing[] = [];
  const oursLive: Timing[] = [];
  const starts: Started[] = [];

  const provider = await startProvider(scope);
  const modelsUrl = `${provider.url}/short`;
  await buildWorker();
  for (let index = 0; index <= STARTS; index++) {
    const started = await npmStart(scope, gantryEnvironment(scope, modelsUrl, `start-${index}`));
    if (index > 0) starts.push(started);
  }
  say(`${STARTS} starts done`);

  const gantry = await startGantry(scope, modelsUrl);
  const live = await runPrompt(gantry, PROMPT);
  // Not the spare, which may be there already and is for the next new session.
  const keep = gantry.processes(live.sessionId).engine;
  const bare = new LiveBare(scope, modelsUrl);
  await bare.prompt(PROMPT);
  await coldQuery(scope, modelsUrl, "cold-warm-up", PROMPT);

  const livePairs = async (round: number): Promise<void> => {
    const sides = [
      async () => void bareLive.push(await bare.prompt(PROMPT)),
      async () => void oursLive.push(await runPrompt(gantry, PROMPT, live.sessionId)),
    ];
    for (let index = 0; index < LIVE_A_ROUND; index++) for (const side of rotate(sides, round + index)) await side();
  };
  const settled = async (): Promise<void> => {
    await spareReady(gantry);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  };
  for (let round = 0; round < ROUNDS; round++) {
    const cases = [
      async () => void bareCold.push(await coldQuery(scope, modelsUrl, `cold-${round}`, PROMPT)),
      async () => {
        const begun = await runPrompt(gantry, PROMPT);
        oursNew.push(begun);
        await endOtherEngines(gantry, keep);
        await settled();
        oursAsleep.push(await runPrompt(gantry, PROMPT, begun.sessionId));
        await endOtherEngines(gantry, keep);
        await settled();
        await openSession(gantry, begun.sessionId);
        oursOpened.push(await runPrompt(gantry, PROMPT, begun.sessionId));
        await endOtherEngines(gantry, keep);
      },
      async () => {
        oursCold.push(await runPromptWithoutSpare(gantry, PROMPT));
        await endOtherEngines(gantry, keep);
      },
      async () => livePairs(round),
    ];
    for (const each of rotate(cases, round)) {
      await each();
      await settled();
    }
    if ((round + 1) % 5 === 0) say(`${round + 1} of ${ROUNDS} rounds done`);
  }
  const { launcher, workerd, runner } = gantry.processes();
  return {
    bareCold,
    bareLive,
    oursNew,
    oursCold,
    oursOpened,
    oursAsleep,
    oursLive,
    starts,
    workedMb: rssMb([...launcher, ...workerd, ...runner]),
  };
}

function toTable(measured: Measured): Table {
  const { bareCold, bareLive, oursNew, oursCold, oursOpened, oursAsleep, oursLive, starts } = measured;
  const ms = (timings: Timing[], name: "firstMs" | "resultMs"): number[] => timings.map((timing) => timing[name]);
  const first = (timings: Timing[]) => summarize(ms(timings, "firstMs"));
  const result = (timings: Timing[]) => summarize(ms(timings, "resultMs"));
  const cold = { first: first(bareCold), result: result(bareCold) };
  const row = (name: string, timings: Timing[], digits: number, target: string): string[] => {
    const [f, r] = [first(timings), result(timings)];
    const ratios = [(f.median / cold.first.median).toFixed(2), (r.median / cold.result.median).toFixed(2)];
    return [name, String(f.n), withSpread(f, digits), withSpread(r, digits), ratios.join(" / "), target];
  };
  const share = (name: "firstMs" | "resultMs"): string => {
    const { median, low, high } = differenceOf(ms(oursLive, name), ms(bareLive, name));
    return `${signed(median)} [${signed(low)}..${signed(high)}]`;
  };
  const rested = (timings: Timing[]): string =>
    first(timings.filter((_, index) => index % LIVE_A_ROUND === 0)).median.toFixed(1);
  const ready = summarize(starts.map((start) => start.readyMs));
  const memory = summarize(starts.map((start) => start.rssMb));
  const part = (name: keyof Started["parts"]): string =>
    summarize(starts.map((start) => start.parts[name])).median.toFixed(0);
  return {
    columns: ["", "n", "first text, ms", "result, ms", "× bare cold", "target"],
    rows: [
      row("bare SDK, cold `query()`", bareCold, 0, ""),
      row("bare SDK, live process", bareLive, 1, ""),
      row("ours, live session", oursLive, 1, "≤ 0.10"),
      row("ours, new session from the pool", oursNew, 0, "≤ 0.40"),
      row("ours, session that was opened before", oursOpened, 0, "≤ 0.40"),
      row("ours, new session without a spare engine", oursCold, 0, ""),
      row("ours, session asleep", oursAsleep, 0, ""),
      [
        "our own share of a live run, by pairs",
        String(oursLive.length),
        share("firstMs"),
        share("resultMs"),
        "",
        "≤ +15 ms",
      ],
      ["`npm start` → ready, ms", String(ready.n), withSpread(ready), "", "", "≤ 3,000"],
      ["its memory without engines, MB", String(memory.n), withSpread(memory), "", "", "≤ 400"],
    ],
    notes: [
      "Medians, [least..90th percentile]; for paired differences the brackets are 90 % confidence intervals. Times start at the prompt. Both sides call the same scripted provider on loopback, interleaved, in rotating order.",
      "Bare: the Agent SDK in the measuring program, with the runner's options and environment. Gantry: `POST /claude-code` by `node:http`, including authentication, lease, log and router.",
      `Live prompts come in ten pairs per round, one side after the other. The first prompt of each round, after a pause, took ${rested(bareLive)} ms bare and ${rested(oursLive)} ms with Gantry.`,
      `Memory is resident memory, summed over the process tree one second after the start: launcher ${part("launcher")}, workerd ${part("workerd")}, runner ${part("runner")}, npm and its shell ${part("npm")}; shared pages are counted once per process. After all prompts of this table, launcher, workerd and runner used ${measured.workedMb.toFixed(0)} MB.`,
    ],
  };
}

function signed(ms: number): string {
  return `${ms >= 0 ? "+" : ""}${ms.toFixed(1)}`;
}

export const sessions: Group = {
  name: "sessions",
  async run(say) {
    await using scope = new Scope();
    return toTable(await measure(scope, say));
  },
};
