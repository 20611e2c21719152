import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, until } from "./client.ts";

export { SOON_MS, lastOf, rounds, rows, script, until } from "./client.ts";
export type { Line } from "./client.ts";

/** The repository. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The started product, as a user runs it. */
export class Gantry extends Client {
  readonly state: string;
  readonly #env: Record<string, string>;
  readonly #ownsState: boolean;
  #child: ChildProcess | null = null;
  #output = "";

  private constructor(env: Record<string, string>) {
    super();
    this.#ownsState = env["GANTRY_STATE"] === undefined;
    this.state = env["GANTRY_STATE"] ?? mkdtempSync(join(tmpdir(), "gantry-e2e-"));
    this.#env = env;
  }

  /** Starts the product with an environment of `PATH`, a few test settings and `env`. Resolves when it reports that it is ready. */
  static async start(env: Record<string, string> = {}): Promise<Gantry> {
    const gantry = new Gantry(env);
    await gantry.start();
    return gantry;
  }

  /** A product that the test starts by other means, on its own state folder. */
  static idle(): Gantry {
    return new Gantry({});
  }

  async start(port = "0"): Promise<void> {
    this.#output = "";
    const child = spawn(process.execPath, [join(ROOT, "local", "main.ts")], {
      cwd: ROOT,
      // A developer's own settings must not change a test: empty variables win over `.env`.
      env: {
        PATH: process.env["PATH"] ?? "",
        HOME: this.state,
        PORT: port,
        ...QUIET,
        ...this.#env,
        GANTRY_STATE: this.state,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    await until(
      () => /Gantry is ready at \S+\n/.test(this.#output) || child.exitCode !== null,
      "the product to be ready",
    );
    const url = /Gantry is ready at (\S+)/.exec(this.#output)?.[1];
    if (!url) throw new Error(`it did not start:\n${this.#output}`);
    this.url = url;
    this.key = this.#env["GANTRY_API_KEY"] ?? readFileSync(join(this.state, "api-key"), "utf8").trim();
  }

  /** Everything the product has printed. */
  get output(): string {
    return this.#output;
  }

  /** Lines of the log file that contain a text. */
  logged(text: string): string[] {
    const path = join(this.state, "log", "gantry.ndjson");
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line.includes(text));
  }

  get port(): string {
    return new URL(this.url).port;
  }

  /** Pid of the launcher. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Ends the product as Ctrl-C does, and returns its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.kill(signal);
    return ended;
  }

  /** Ends the product and removes its state folder. */
  async remove(): Promise<void> {
    await this.stop();
    await this.killAll();
    if (this.#ownsState) rmSync(this.state, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  /** All processes of this installation, by part; with a session's id, engines and their children of that one alone. */
  processes(sessionId = ""): {
    launcher: number[];
    workerd: number[];
    runner: number[];
    engine: number[];
    child: number[];
  } {
    const found = {
      launcher: [] as number[],
      workerd: [] as number[],
      runner: [] as number[],
      engine: [] as number[],
      child: [] as number[],
    };
    const all = new Map(
      readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => [Number(pid), describe(Number(pid))]),
    );
    for (const [pid, p] of all) {
      if (pid === process.pid || !p) continue;
      // A process that has forked but not yet executed its program still has its parent's name.
      if (all.get(p.ppid)?.args === p.args) continue;
      if (p.args.includes("local/main.ts") && p.env.includes(`GANTRY_STATE=${this.state}`)) found.launcher.push(pid);
      else if (p.env.includes("GANTRY_SANDBOX=") && p.env.includes(join(this.state, "sandboxes", sessionId)))
        (/claude/.test(p.args.split(" ")[0] ?? "") ? found.engine : found.child).push(pid);
      else if (p.args.includes("runner/main.ts") && p.args.includes(join(this.state, "sandboxes")))
        found.runner.push(pid);
      else if (/workerd\b.* serve/.test(p.args) && p.env.includes(`GANTRY_STATE=${this.state}`))
        found.workerd.push(pid);
    }
    return found;
  }

  /** `kill -9` for some parts of the product. */
  kill(...parts: (keyof ReturnType<Gantry["processes"]>)[]): void {
    const found = this.processes();
    for (const part of parts) {
      for (const pid of found[part]) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It ended together with another part.
        }
      }
    }
  }

  /** `kill -9` for everything, again and again: a child that is just starting cannot be recognised yet. */
  async killAll(): Promise<void> {
    await until(() => {
      this.kill("launcher", "workerd", "runner", "engine", "child");
      return Object.values(this.processes()).flat().length === 0;
    }, "everything to be gone");
  }

  workspace(sessionId: string): string {
    return join(this.state, "sandboxes", sessionId, "workspace");
  }
}

/** Settings of every test: no provider is called, and no engine starts ahead of a prompt. */
const QUIET = {
  GANTRY_POOL: "0",
  // Compiled code is kept from one start to the next: compiling it is a third of what a start costs.
  NODE_COMPILE_CACHE: join(ROOT, "dist", "compiled"),
  ANTHROPIC_API_KEY: "",
  CLAUDE_CODE_OAUTH_TOKEN: "",
  OPENROUTER_API_KEY: "",
  GROQ_API_KEY: "",
  OPENAI_API_KEY: "",
};

function describe(pid: number): { args: string; env: string; ppid: number } | null {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    const env = readFileSync(`/proc/${pid}/environ`, "utf8").replaceAll("\0", "\n");
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? null : { args, env, ppid: Number(ppid) };
  } catch {
    return null;
  }
}
