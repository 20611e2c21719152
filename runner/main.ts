import { createInterface } from "node:readline";
import { mkdir } from "node:fs/promises";
import { sweepSpares } from "./host/pool.ts";
import { killMarked } from "./processes/processes.ts";
import { startRunner } from "./http/server.ts";

/**
 * The program in the sandbox. Its settings come as the first line of standard input, so that the token is in nobody's
 * environment or argument list; when that input ends, whoever started us is gone and so are we.
 *
 * First line: `RunnerSettings` as JSON. Answers `{"ready":{"port"}}` on standard output; every other line there is a log
 * entry. In a container (`session` or `variables` is set) the first line is all there is, and the platform ends us.
 */

/** After SIGTERM: time for runs to be told off and for their last frames to be stored. */
const DRAIN_MS = 8_000;

const log = (entry: Record<string, unknown>): void => {
  process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), from: "runner", ...entry })}\n`);
};

const input = createInterface({ input: process.stdin });
// From the first moment on: it may end while we still start.
const inputEnded = new Promise((resolve) => input.once("close", resolve));
const settings = await new Promise<Parameters<typeof startRunner>[0]>((resolve) => {
  input.once("line", (line) => resolve({ ...(JSON.parse(line) as Parameters<typeof startRunner>[0]), log }));
});

await mkdir(settings.root, { recursive: true, mode: 0o700 });
// What an earlier runner of this state folder left: engines that lost it, and what they had started.
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
