import { mkdirSync } from "node:fs";
import { commandOf, rssMb, treeOf } from "../kit/processes.ts";
import { ROOT } from "../kit/scope.ts";
import type { Scope } from "../kit/scope.ts";

export interface Started {
  /** From typing the command to the line that says the address. */
  readonly readyMs: number;
  /** Resident memory a second later: the launcher, workerd and the runner, npm and its shell. */
  readonly rssMb: number;
  /** Of that, by part. */
  readonly parts: Readonly<Record<"npm" | "launcher" | "workerd" | "runner", number>>;
}

/** `npm start`, until it is ready, and ended again. */
export async function npmStart(scope: Scope, environment: Record<string, string>): Promise<Started> {
  const state = environment["GANTRY_STATE"];
  if (state) mkdirSync(state, { recursive: true });
  const startedAt = performance.now();
  const child = scope.spawn("npm", ["start"], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", HOME: scope.folder, PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  // npm killed at once would leave the launcher behind.
  const killTree = (): void => {
    for (const pid of treeOf(child.pid ?? 0)) process.kill(pid, "SIGKILL");
  };
  process.prependOnceListener("exit", killTree);
  let output = "";
  const ready = new Promise<number>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        if (/Gantry is ready at \S+\n/.test(output)) resolve(performance.now() - startedAt);
      });
    child.once("exit", () => reject(new Error(`npm start ended:\n${output}`)));
  });
  const readyMs = await ready;
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  // The spare engine that starts a second later is counted where engines are.
  const tree = treeOf(child.pid ?? 0).filter((pid) => !/claude/.test(commandOf(pid).split(" ")[0] ?? ""));
  const ofPart = (pattern: RegExp): number[] => tree.filter((pid) => pattern.test(commandOf(pid)));
  const parts = {
    launcher: ofPart(/^\S*node local\/main\.ts/),
    workerd: ofPart(/^\S*workerd /),
    runner: ofPart(/^\S*node \S*runner\/main\.ts/),
  };
  const ours = Object.values(parts).flat();
  // Signals the launcher itself: npm could end first, and then nothing would say when the rest is gone.
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const [launcher] = parts.launcher;
  const measured = {
    readyMs,
    rssMb: rssMb(tree),
    parts: {
      npm: rssMb(tree.filter((pid) => !ours.includes(pid))),
      launcher: rssMb(parts.launcher),
      workerd: rssMb(parts.workerd),
      runner: rssMb(parts.runner),
    },
  };
  if (launcher === undefined) child.kill("SIGTERM");
  else process.kill(launcher, "SIGTERM");
  await gone;
  process.off("exit", killTree);
  return measured;
}
