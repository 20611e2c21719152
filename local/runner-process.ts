import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { EngineWish } from "@gantry/protocol/link.ts";
import { ROOT } from "./build.ts";

export interface RunnerOptions {
  readonly token: string;
  readonly root: string;
  readonly markerPrefix: string;
  /** Milliseconds after which an engine without a run is ended. */
  readonly idleMs: number;
  readonly maxEngines: number;
  readonly pool: { readonly size: number; readonly first: EngineWish | null };
  readonly log: (line: string) => void;
  /** Called when the runner has died, before it is started again on the same port. */
  readonly onRestart: (why: string) => void;
}

/** A runner that is restarted whenever it dies. */
export interface RunnerProcess {
  readonly port: number;
  readonly pid: () => number | undefined;
  /** Sends SIGTERM, and SIGKILL if the runner takes longer than 15 s. */
  stop(): Promise<void>;
}

const STOP_MS = 15_000;

/**
 * Starts the runner, and starts it again on the same port whenever it dies, because the Worker knows that port. The runner
 * has its own process group, so that Ctrl-C reaches only the launcher. It ends when its standard input closes, so that a
 * killed launcher leaves nothing behind.
 */
export async function keepRunner(options: RunnerOptions): Promise<RunnerProcess> {
  let stopping = false;
  let port = 0;
  let child: ChildProcess;
  let exited: Promise<void>;

  // Node's own variable: a caller that starts Gantry many times can name a folder for compiled code.
  const compiled = process.env["NODE_COMPILE_CACHE"];

  const start = async (): Promise<void> => {
    // The folder is an argument only so that a process list shows it; settings go through standard input.
    child = spawn(process.execPath, [join(ROOT, "runner", "main.ts"), options.root], {
      cwd: ROOT,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
        LANG: "C.UTF-8",
        ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }),
      },
    });
    exited = new Promise((resolve) => child.once("close", () => resolve()));
    const settings = {
      host: "127.0.0.1",
      port,
      token: options.token,
      root: options.root,
      markerPrefix: options.markerPrefix,
      path: process.env["PATH"] ?? "",
      idleMs: options.idleMs,
      maxEngines: options.maxEngines,
      pool: options.pool,
    };
    child.stdin?.on("error", () => {}).write(`${JSON.stringify(settings)}\n`);
    child.stderr
      ?.setEncoding("utf8")
      .on("data", (text: string) => options.log(JSON.stringify({ from: "runner", stderr: text })));
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    port = await new Promise<number>((resolve, reject) => {
      lines.on("line", (line) => {
        const ready = /^\{"ready":\{"port":(\d+)\}\}$/.exec(line)?.[1];
        if (ready) resolve(Number(ready));
        else options.log(line);
      });
      child.once("close", (code) => reject(new Error(`the runner ended with ${code} before it was ready`)));
    });
    child.once("close", (code, signal) => {
      if (stopping) return;
      options.onRestart(`the runner ended (${signal ?? code})`);
      void again(200);
    });
  };

  const again = async (pauseMs: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    if (stopping) return;
    await start().catch((error: unknown) => {
      options.onRestart(String(error));
      void again(Math.min(pauseMs * 2, 5_000));
    });
  };

  await start();
  return {
    port,
    pid: () => child.pid,
    async stop() {
      stopping = true;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}
