import { buildWorker } from "../../local/build.ts";
import { script, until } from "../kit/gantry.ts";
import { Arena } from "./arena.ts";
import { auditSession, auditUsage } from "./auditor.ts";
import { mutate } from "./mutate.ts";
import { describeFault, plan } from "./nemesis.ts";
import { Points } from "./points.ts";
import { Random } from "./random.ts";
import { Client } from "./workload.ts";

/**
 * `npm run test:faults`: the started product with the real engine, random work and random faults, and an auditor.
 *
 * `SEED=n` is the first seed (else a random one), `RUNS=n` how many seeds in a row (50), `LANES=n` how many
 * are played at a time (1), `GROUP=n` how many in a row share a started product and its state folder (10), `LONGEST=ms` bounds what is frozen (3000; a minute is 60000), `MAX_SECONDS=n`
 * ends it after that time with what it has, `ONLY="kill runner"` makes every fault of that kind, `STOP_AT=n` ends it
 * after so many seeds with findings. `--mutate`: see mutate.ts. It prints each seed, and for one with findings how to run it again.
 */

const env = process.env;
const first = Number(env["SEED"] ?? Math.floor(Math.random() * 1e9));
const runs = Number(env["RUNS"] ?? 50);
const groupSize = Number(env["GROUP"] ?? 10);
const lanes = Number(env["LANES"] ?? 1);
const longestMs = Number(env["LONGEST"] ?? 3_000);
const kind = env["ONLY"] ?? "";
const stopAt = Number(env["STOP_AT"] ?? Infinity);
const endAt = Date.now() + Number(env["MAX_SECONDS"] ?? 1e6) * 1_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Plays one seed: work and faults; then everything is repaired, all work ends, and the auditor reads the result. */
async function play(arena: Arena, seed: number): Promise<{ findings: string[]; faults: string }> {
  const random = new Random(seed);
  const { gantry, nemesis, model } = arena;
  const forks: Client[] = [];
  const points = new Points();
  arena.onPoint = (point) => points.reached(point);
  const canFillDisk = arena.hasDisk;
  const faults = plan(random.fork(), { longestMs, canFillDisk, kind });
  const told = faults.map(describeFault).join(", ");
  const sessions = random.int(2, 3);
  const before = new Set(arena.clients);
  const clients: Client[] = [];
  for (let n = 0; n < sessions; n++) {
    const asks = random.chance(0.45);
    const own = random.fork();
    // Half of the sessions come from the previous seed, with everything that was done to them.
    const older = random.chance(0.5) ? [...before].find((client) => client.asks === asks) : undefined;
    if (older) before.delete(older);
    older?.goOn(own, points);
    clients.push(older ?? new Client(gantry, await arena.session(asks), asks, own, points));
  }
  arena.clients = clients;
  await Promise.all([...before].map((client) => client.stop()));
  const findings: string[] = [];
  try {
    const works = clients.map(async (client, n) => {
      const forked = random.chance(0.25) || (n === 0 && faults.some(({ point }) => point === "fork"));
      await client.work(random.int(1, 3));
      await client.untilAtRest();
      const fork = forked ? await client.fork() : null;
      if (fork) forks.push(fork);
      if (points.awaits("restore")) {
        await client.work(1);
        await client.untilAtRest();
      }
    });
    await Promise.all([
      // Whether it came to rest is judged below, when nothing strikes any more.
      Promise.allSettled(works).then(() => points.close()),
      ...faults.map((fault) => nemesis.strike(fault, points)),
    ]);
    await arena.untilHealthy();
    clients.push(...forks);
    for (const client of clients) await client.untilAtRest();
    // The next prompt continues, with memory and files.
    await Promise.all(
      clients.map(async (client, n) => {
        const last = { marker: `last-${seed}-${n}`, effects: [`effect-last-${seed}-${n}`], runId: null };
        const call = { tool: "Bash", input: { command: `cat effects; echo ${last.effects[0]} >> effects` } };
        await client.send(last, `${last.marker} ${script(call, { text: "seen" })}`);
        await client.untilAtRest();
      }),
    );
    for (const client of clients) findings.push(...(await auditSession(gantry, client, model.calls, nemesis)));
    const found = findings.length;
    for (let tries = 0; tries < 20; tries++) {
      findings.length = found;
      findings.push(...(await auditUsage(gantry, model.calls, nemesis.outages)));
      if (findings.length === found) break;
      await new Promise((resolve) => setTimeout(resolve, 100)); // the ledger is written after the answer
    }
    await until(() => gantry.processes().child.length === 0, "what tools started to be gone");
  } catch (error) {
    findings.push(String(error));
  }
  return { findings, faults: told };
}

if (process.argv.includes("--mutate")) process.exit(mutate(say) ? 0 : 1);
await buildWorker();
let failed = 0;
let done = 0;
let next = first;
const startedAt = Date.now();
const goesOn = (): boolean => next < first + runs && Date.now() < endAt && failed < stopAt;

/** Plays seeds one after another until no seed is left that no other lane has taken. */
async function lane(): Promise<void> {
  while (goesOn()) {
    const arena = new Arena();
    await arena.start();
    let bad = false;
    const tell = (seed: number, ms: number, told: string, findings: readonly string[]): void => {
      const lines = [`seed ${seed} ${findings.length === 0 ? "ok" : "FAILED"} ${(ms / 1000).toFixed(1)} s  ${told}`];
      lines.push(...findings.map((finding) => `  ${finding}`));
      if (findings.length > 0) {
        bad = true;
        failed += 1;
        lines.push(`  again: SEED=${seed} RUNS=1 npm run test:faults   (state: ${arena.state})`);
      }
      say(lines.join("\n"));
    };
    let seed = next;
    for (let n = 0; n < groupSize && goesOn() && !bad; n++, done++) {
      seed = next++;
      const from = Date.now();
      const { findings, faults } = await play(arena, seed);
      tell(seed, Date.now() - from, faults, findings);
    }
    if (!bad) {
      const from = Date.now();
      const findings = await arena.stop();
      if (findings.length > 0) tell(seed, Date.now() - from, "its stop", findings);
    }
    await arena.remove(bad);
  }
}

say(`seeds ${first} to ${first + runs - 1}`);
await Promise.all(Array.from({ length: lanes }, lane));
say(`${done} seeds, ${failed} with findings, ${Math.round((Date.now() - startedAt) / 1000)} s`);
process.exitCode = failed === 0 ? 0 : 1;
