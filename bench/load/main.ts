import { Agent, request } from "node:http";
import type { Job, Outcome } from "./job.ts";

/** The clients: a separate program on loopback that takes one job after another by IPC, and reports each result. */

/** A request that takes longer has failed. */
const PATIENCE_MS = 120_000;
/** Enough of an answer's last bytes to see how it ended. */
const TAIL_CHARACTERS = 4_096;

const agent = new Agent({ keepAlive: true, maxSockets: 4_000 });

/** Resolves with what went wrong, or null. */
function once(job: Job): Promise<string | null> {
  return new Promise((resolve) => {
    const call = request(job.url, { method: "POST", agent, headers: job.headers }, (response) => {
      let tail = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        tail = (tail + text).slice(-TAIL_CHARACTERS);
      });
      response.once("end", () => {
        if (response.statusCode !== 200) resolve(`${response.statusCode}: ${tail.slice(0, 200)}`);
        else resolve(tail.includes(job.ending) ? null : `ended with ${tail.slice(-200)}`);
      });
      response.once("error", (error) => resolve(String(error)));
      response.once("close", () => clearTimeout(patience));
    });
    const patience = setTimeout(() => call.destroy(new Error("took too long")), PATIENCE_MS);
    call.once("error", (error) => resolve(String(error)));
    call.end(job.body);
  });
}

async function run(job: Job): Promise<Outcome> {
  const startedAt = performance.now();
  let sent = 0;
  let done = 0;
  let failed = 0;
  let why: string | null = null;
  const worker = async (): Promise<void> => {
    while (sent < job.most && performance.now() - startedAt < job.forMs) {
      sent += 1;
      const failure = await once(job);
      if (failure === null) done += 1;
      else {
        failed += 1;
        why ??= failure;
      }
    }
  };
  await Promise.all(Array.from({ length: job.atOnce }, worker));
  return { done, failed, why, wallMs: performance.now() - startedAt };
}

process.on("message", (job: Job) => {
  void run(job).then((outcome) => process.send?.(outcome));
});
process.once("disconnect", () => process.exit(0));
process.send?.("ready");
