import { guard, guarded, isSafeToGoOn, logFailuresTo } from "./base/guarded.ts";
import { createInterface } from "node:readline";
import { mkdir } from "node:fs/promises";
import { sweepSpares } from "./host/pool.ts";
import { killMarked } from "./processes/processes.ts";
import { startRunner } from "./http/server.ts";

/**
 * The program in the sandbox. It reads its settings from the first line of standard input, so that the token appears in no
 * environment and no argument list. When standard input ends, the parent process is gone, and the runner exits too.
 *
 * The first line is `RunnerSettings` as JSON. The runner prints `{"ready":{"port"}}` on standard output; every other line
 * there is a log entry. In a container (`session` or `variables` is set) standard input ends after the first line, and the
 * platform stops the runner.
 */

/** Time after SIGTERM for runs to stop and for their last frames to be stored. */
const DRAIN_MS = 8_000;

const log = (entry: Record<string, unknown>): void => {
  process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), from: "runner", ...entry })}\n`);
};

logFailuresTo(log);

const input = createInterface({ input: process.stdin });
// Listen from the beginning, because the input may end during the start.
const inputEnded = new Promise((resolve) => input.once("close", resolve));
const line = await new Promise<string>((resolve) => {
  input.once("line", resolve);
});
// Not guarded: a runner whose settings cannot be read must not start.
const settings = { ...(JSON.parse(line) as Parameters<typeof startRunner>[0]), log };

await mkdir(settings.root, { recursive: true, mode: 0o700 });
// Kill what an earlier runner of this state folder left behind: engines and the processes they started.
const swept = await killMarked(settings.markerPrefix, { prefix: true });
if (swept > 0) log({ event: "orphans_killed", count: swept });
sweepSpares(settings.root);

const runner = await startRunner(settings);
process.stdout.write(`${JSON.stringify({ ready: { port: runner.port } })}\n`);

let ending = false;
function end(graceMs: number, exitCode = 0): void {
  if (ending) return;
  ending = true;
  guard("drain", () => runner.drain(graceMs).finally(() => process.exit(exitCode)));
}
const inContainer = settings.session !== undefined || settings.variables !== undefined;
if (!inContainer) guard("input_end", () => inputEnded.then(() => end(0)));
process.on(
  "SIGTERM",
  guarded("sigterm", () => end(DRAIN_MS)),
);
process.on(
  "SIGINT",
  guarded("sigint", () => end(DRAIN_MS)),
);

// Everything that enters is guarded. These two catch what a library lets go, because all sessions share this process.
const refuse = (error: unknown): void => {
  // Nobody awaited the promise, so nobody depends on its result.
  log({ event: "unhandled_rejection", error: textOf(error) });
};
const fail = (error: unknown): void => {
  const goesOn = isSafeToGoOn(error);
  log({ event: "uncaught_exception", error: textOf(error), goesOn });
  // The launcher starts another runner. Until then runs may park or end, and their frames are stored.
  if (!goesOn) end(DRAIN_MS, 1);
};
const textOf = (error: unknown): string =>
  (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, 2000);
process.on("unhandledRejection", guarded("unhandled_rejection", refuse));
process.on("uncaughtException", guarded("uncaught_exception", fail));
// The parent is gone. Its end of standard input says so too, and nothing can be logged any more.
process.stdout.on(
  "error",
  guarded("stdout", () => {}),
);
