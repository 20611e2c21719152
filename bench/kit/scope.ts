import { spawn } from "node:child_process";
import type { ChildProcess, SpawnOptions } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Makes a child end with this process, even when this process is killed (Linux only). */
const SETPRIV = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => process.platform === "linux" && existsSync(path));

/**
 * Everything a measurement starts or writes. It is ended and removed in reverse order when the measurement is over, or when
 * the program is interrupted or fails.
 */
export class Scope implements AsyncDisposable {
  /** Removed with the scope. */
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-bench-"));
  readonly #ends: (() => Promise<unknown> | void)[] = [];
  readonly #children = new Set<ChildProcess>();
  readonly #onExit = (): void => this.#drop();

  constructor() {
    process.on("exit", this.#onExit);
  }

  /** Runs `end` when the scope ends. */
  defer(end: () => Promise<unknown> | void): void {
    this.#ends.push(end);
  }

  spawn(program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file, argv] = SETPRIV ? [SETPRIV, ["--pdeathsig", "KILL", program, ...args]] : [program, [...args]];
    const child = spawn(file, argv, options);
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** SIGTERM, SIGKILL after five seconds; resolves when it is gone. */
  async end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await gone;
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const end of this.#ends.splice(0).toReversed()) await end();
      await Promise.all([...this.#children].map((child) => this.end(child)));
    } finally {
      process.off("exit", this.#onExit);
      this.#drop();
    }
  }

  #drop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** An interrupted benchmark leaves nothing behind: on `exit` each scope ends what it started. */
export function endOnSignals(): void {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)
    process.once(signal, () => process.exit(code));
}
