import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gantry, until } from "../kit/gantry.ts";
import { auditRest, unsavedAtStop } from "./auditor.ts";
import { Model } from "./model.ts";
import { Nemesis } from "./nemesis.ts";
import type { Point } from "./points.ts";
import { Watch } from "./watch.ts";
import type { Client } from "./workload.ts";

/** What is not answered in this time is a finding. */
const PATIENCE_MS = 60_000;

/** One started product on its own state folder, for a few seeds. */
export class Arena {
  readonly model = new Model();
  readonly #folder = mkdtempSync(join(tmpdir(), "gantry-faults-"));
  /** Called with each point that is seen on the disk. */
  onPoint: (point: Point) => void = () => {};
  #watch: Watch | null = null;
  /** Clients of the last seed. */
  clients: readonly Client[] = [];
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

  /** Whether its disk can be filled. */
  get hasDisk(): boolean {
    return this.#disk !== null;
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
      PORT: String(await freePort()),
      LITELLM_CONFIG: routes,
      ANTHROPIC_API_KEY: "model-key",
      GANTRY_PERMISSION_MODE: "bypassPermissions",
      GANTRY_POOL: "0",
      // Engines of unused sessions end while others work.
      GANTRY_SLEEP_AFTER: "0.5",
      GANTRY_MIN_FREE_BYTES: "1000000",
    });
    this.#watch = new Watch(this.state, (point) => this.onPoint(point));
    const filler = this.#disk ? join(this.#disk, "filler") : null;
    this.#nemesis = new Nemesis(this.#gantry, this.model, filler, this.#watch.lost);
    this.model.onPoint = (point) => this.onPoint(point);
    const toolset = (type: string): object => ({
      type: "agent_toolset_20260401",
      default_config: { enabled: true, permission_policy: { type } },
    });
    const agent = async (type: string): Promise<string> =>
      this.#post("/v1/agents", { name: type, model: "faults/model", tools: [toolset(type)] });
    this.#agents = { plain: await agent("always_allow"), asks: await agent("always_ask") };
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
    await Promise.all(this.clients.map((client) => client.stop()));
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
    await Promise.all(this.clients.map((client) => client.stop()));
    this.#watch?.close();
    await this.gantry.killAll();
    this.model.close();
    if (keep) return;
    if (this.#disk) spawnSync("/bin/umount", ["-l", this.#disk]);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** Below those that the system gives away by itself: it is started again on the same one, beside other lanes. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise((resolve) => probe.close(resolve));
    if (free) return port;
  }
}
