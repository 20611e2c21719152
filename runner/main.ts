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

const input = createInterface({ input: process.stdin });
// Listen from the beginning, because the input may end during the start.
const inputEnded = new Promise((resolve) => input.once("close", resolve));
const settings = await new Promise<Parameters<typeof startRunner>[0]>((resolve) => {
  input.once("line", (line) => resolve({ ...(JSON.parse(line) as Parameters<typeof startRunner>[0]), log }));
});

await mkdir(settings.root, { recursive: true, mode: 0o700 });
// Kill what an earlier runner of this state folder left behind: engines and the processes they started.
const swept = await killMarked(settings.markerPrefix, { prefix: true });
if (swept > 0) log({ event: "orphans_killed", count: swept });
sweepSpares(settings.root);

const runner = await startRunner(settings);
process.stdout.write(`${JSON.stringify({ ready: { port: runner.port } })}\n`);

let ending = false;
function end(graceMs: number): void {
  if (ending) return;
  ending = true;
  void runner.drain(graceMs).finally(() => process.exit(0));
}
const inContainer = settings.session !== undefined || settings.variables !== undefined;
if (!inContainer) void inputEnded.then(() => end(0));
process.on("SIGTERM", () => end(DRAIN_MS));
process.on("SIGINT", () => end(DRAIN_MS));
