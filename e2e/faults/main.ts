import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWorker } from "../../local/build.ts";
import { Gantry, script, until } from "../gantry.ts";
import { auditRest, auditSession, auditUsage, unsavedAtStop } from "./auditor.ts";
import { Model } from "./model.ts";
import { mutate } from "./mutate.ts";
import { Nemesis, describeFault, plan } from "./nemesis.ts";
import { Points } from "./points.ts";
import { Random } from "./random.ts";
import { Client } from "./workload.ts";

/**
 * `npm run test:faults`: the started product with the real engine, random work and random faults, and an auditor.
 *
 * `SEED=n` is the first seed (else a random one), `RUNS=n` how many seeds in a row (50), `GROUP=n` how many share a
 * started product and its state folder (5), `LONGEST=ms` bounds what is frozen (3000; a minute is 60000), `MAX_SECONDS=n`
 * ends it after that time with what it has, `ONLY="kill runner"` makes every fault of that kind, `STOP_AT=n` ends it
 * after so many seeds with findings, `NO_DISK=1` leaves the full disk out. `--mutate`: see mutate.ts. It prints each seed, and for one with findings how to run it again.
 */

const env = process.env;
const first = Number(env["SEED"] ?? Math.floor(Math.random() * 1e9));
const runs = Number(env["RUNS"] ?? 50);
const groupSize = Number(env["GROUP"] ?? 5);
const longestMs = Number(env["LONGEST"] ?? 3_000);
const kind = env["ONLY"] ?? "";
const stopAt = Number(env["STOP_AT"] ?? Infinity);
const endAt = Date.now() + Number(env["MAX_SECONDS"] ?? 1e6) * 1_000;

/** What is not answered in this time is a finding. */
const PATIENCE_MS = 60_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** A product of its own on a state folder of its own, for a few seeds. */
class Arena {
  readonly model = new Model();
  readonly points = new Points();
  readonly #folder = mkdtempSync(join(tmpdir(), "gantry-faults-"));
  /** On a small disk of its own where the system allows it. */
  readonly #disk: string | null;
  #gantry: Gantry | null = null;
  #nemesis: Nemesis | null = null;
  #agents: { plain: string; asks: string } | null = null;

  constructor() {
    const state = this.state;
    mkdirSync(state);
    const mounted =
      process.platform === "linux" &&
      spawnSync("/bin/mount", ["-t", "tmpfs", "-o", "size=600m", "tmpfs", state], { stdio: "ignore" }).status === 0;
    this.#disk = mounted ? state : null;
  }

  get state(): string {
    return join(this.#folder, "state");
  }

  get hasDisk(): boolean {
    return this.#disk !== null && env["NO_DISK"] === undefined;
  }

  get gantry(): Gantry {
    if (!this.#gantry) throw new Error("not started");
    return this.#gantry;
  }

  get nemesis(): Nemesis {
    if (!this.#nemesis) throw new Error("not started");
    return this.#nemesis;
  }

  async start(): Promise<void> {
    const port = await this.model.listen();
    const routes = join(this.#folder, "routes.yaml");
    writeFileSync(
      routes,
      [
        "model_list:",
        "  - model_name: faults/model",
        "    litellm_params:",
        "      model: anthropic/faults",
        `      api_base: http://127.0.0.1:${port}`,
        "      api_key: os.environ/ANTHROPIC_API_KEY",
        "",
      ].join("\n"),
    );
    this.#gantry = await Gantry.start({
      GANTRY_STATE: this.state,
      LITELLM_CONFIG: routes,
      ANTHROPIC_API_KEY: "model-key",
      GANTRY_PERMISSION_MODE: "bypassPermissions",
      GANTRY_POOL: "0",
      GANTRY_MIN_FREE_BYTES: "1000000",
    });
    this.#nemesis = new Nemesis(this.#gantry, this.model, this.#disk ? join(this.#disk, "filler") : null);
    const toolset = (type: string): object => ({
      type: "agent_toolset_20260401",
      default_config: { enabled: true, permission_policy: { type } },
    });
    const agent = async (type: string): Promise<string> =>
      this.#post("/v1/agents", { name: type, model: "faults/model", tools: [toolset(type)] });
    this.#agents = { plain: await agent("always_allow"), asks: await agent("always_ask") };
    this.model.onPoint = (point) => this.points.reached(point);
  }

  async session(asks: boolean): Promise<string> {
    return this.#post("/v1/sessions", { agent: asks ? this.#agents?.asks : this.#agents?.plain });
  }

  async #post(path: string, body: object): Promise<string> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const response = await this.gantry.fetch(path, { method: "POST", body: JSON.stringify(body), signal });
    const answer = (await response.json()) as { id?: string };
    if (!answer.id) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer.id;
  }

  /** Everything is mended: it must answer again. */
  async untilHealthy(): Promise<void> {
    const healthy = async (): Promise<boolean> =>
      (await this.gantry.fetch("/health").catch(() => null))?.status === 200 &&
      this.gantry.processes().runner.length === 1;
    await until(healthy, "the product to be healthy again");
  }

  /** Stops it in order and says what was left. */
  async stop(): Promise<string[]> {
    const code = await this.gantry.stop();
    const unsaved = unsavedAtStop(this.gantry);
    const left = Object.values(this.gantry.processes()).flat();
    // What a kill left in the middle of writing goes at the next start.
    await this.gantry.start();
    await this.gantry.stop();
    const findings = auditRest(this.gantry);
    if (left.length > 0) findings.push(`left running: ${left.join(", ")}`);
    if (code !== 0) findings.push(`it ended with ${code}`);
    if (unsaved !== 0) findings.push(`nothing ran, and at its stop ${unsaved} sessions had something unsaved`);
    return findings;
  }

  async remove(keep: boolean): Promise<void> {
    await this.gantry.killAll();
    this.model.close();
    if (keep) return;
    if (this.#disk) spawnSync("/bin/umount", ["-l", this.#disk]);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** One seed: work and faults, then all is mended, everything comes to its end, and the auditor reads. */
async function play(arena: Arena, seed: number): Promise<{ findings: string[]; faults: string }> {
  const random = new Random(seed);
  const { gantry, nemesis, points, model } = arena;
  const faults = plan(random.fork(), { longestMs, canFillDisk: arena.hasDisk, kind });
  const told = faults.map(describeFault).join(", ");
  const sessions = random.int(2, 3);
  const clients: Client[] = [];
  for (let n = 0; n < sessions; n++) {
    const asks = random.chance(0.45);
    clients.push(new Client(gantry, await arena.session(asks), asks, random.fork(), points));
  }
  const findings: string[] = [];
  try {
    await Promise.all([
      ...clients.map((client) => client.work(random.int(1, 3))),
      ...faults.map((fault) => nemesis.strike(fault, points)),
    ]);
    await arena.untilHealthy();
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
    for (const client of clients) findings.push(...(await auditSession(gantry, client, model.calls, nemesis.losses)));
    const before = findings.length;
    for (let tries = 0; tries < 20; tries++) {
      findings.length = before;
      findings.push(...(await auditUsage(gantry, model.calls, nemesis.outages)));
      if (findings.length === before) break;
      await new Promise((resolve) => setTimeout(resolve, 100)); // the ledger is written after the answer
    }
    await until(() => gantry.processes().child.length === 0, "what tools started to be gone");
  } catch (error) {
    findings.push(String(error));
  }
  await Promise.all(clients.map((client) => client.stop()));
  return { findings, faults: told };
}

if (process.argv.includes("--mutate")) process.exit(mutate(say) ? 0 : 1);
await buildWorker();
let failed = 0;
let done = 0;
const startedAt = Date.now();
say(`seeds ${first} to ${first + runs - 1}`);
for (let at = 0; at < runs && Date.now() < endAt && failed < stopAt;) {
  const arena = new Arena();
  await arena.start();
  let bad = false;
  const tell = (seed: number, ms: number, told: string, findings: readonly string[]): void => {
    say(`seed ${seed} ${findings.length === 0 ? "ok" : "FAILED"} ${(ms / 1000).toFixed(1)} s  ${told}`);
    for (const finding of findings) say(`  ${finding}`);
    if (findings.length === 0) return;
    bad = true;
    failed += 1;
    say(`  again: SEED=${seed} RUNS=1 npm run test:faults   (state: ${arena.state})`);
  };
  for (let n = 0; n < groupSize && at < runs && Date.now() < endAt && !bad; n++, at++, done++) {
    const from = Date.now();
    const { findings, faults } = await play(arena, first + at);
    tell(first + at, Date.now() - from, faults, findings);
  }
  if (!bad) {
    const from = Date.now();
    const findings = await arena.stop();
    if (findings.length > 0) tell(first + at - 1, Date.now() - from, "its stop", findings);
  }
  await arena.remove(bad);
}
say(`${done} seeds, ${failed} with findings, ${Math.round((Date.now() - startedAt) / 1000)} s`);
process.exitCode = failed === 0 ? 0 : 1;
