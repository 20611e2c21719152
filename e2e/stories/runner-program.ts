import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ROOT } from "../kit/gantry.ts";
import { ContainerServer } from "./container-routes.ts";

/** The runner's program, as the container's entry starts it. */
export class RunnerProgram {
  static readonly TOKEN = "a-token-of-the-container";
  readonly root = mkdtempSync(join(tmpdir(), "gantry-container-"));
  readonly #child: ChildProcess;
  server = new ContainerServer("", "");

  private constructor(variables: Record<string, string>) {
    this.#child = spawn(process.execPath, [join(ROOT, "runner", "main.ts")], {
      env: { PATH: process.env["PATH"] ?? "" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const settings = {
      host: "127.0.0.1",
      port: 0,
      token: RunnerProgram.TOKEN,
      variables,
      root: this.root,
      markerPrefix: `${this.root}:`,
      path: process.env["PATH"] ?? "",
      idleMs: 600_000,
      maxEngines: 2,
      pool: { size: 0, first: null },
    };
    this.#child.stdin?.end(`${JSON.stringify(settings)}\n`);
  }

  static async start(variables: Record<string, string>): Promise<RunnerProgram> {
    const container = new RunnerProgram(variables);
    const lines = createInterface({ input: container.#child.stdout as NodeJS.ReadableStream });
    const port = await new Promise<string>((resolve) =>
      lines.on("line", (line) => {
        const ready = /^\{"ready":\{"port":(\d+)\}\}$/.exec(line)?.[1];
        if (ready) resolve(ready);
      }),
    );
    container.server = new ContainerServer(`http://127.0.0.1:${port}`, RunnerProgram.TOKEN);
    return container;
  }

  async remove(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await ended;
    rmSync(this.root, { recursive: true, force: true, maxRetries: 10 });
  }
}
