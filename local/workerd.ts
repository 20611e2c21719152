import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import type { Json, V4WorkerOptions } from "miniflare";
import workerd from "workerd";
import { BUILD } from "./build.ts";
import { PUBLIC_NET, directNet } from "./nets.ts";

export interface WorkerOptions {
  readonly host: string;
  readonly port: number;
  readonly state: string;
  readonly bindings: Record<string, string>;
  readonly onLog: (line: string) => void;
  readonly onRestart: () => void;
}

/** Pause between two checks for a workerd that failed to start again. */
const REVIVE_MS = 1_000;

/** Time that the Worker gets at a stop to finish what it does shortly after an answer (`worker/base/later.ts`). */
const LATER_MS = 200;

/** The running Worker. */
export interface WorkerProcess {
  readonly url: URL;
  /** Ends workerd, whatever its condition, and starts another one. */
  restart(): Promise<void>;
  /** Ends workerd after it has written what it still holds. */
  stop(): Promise<void>;
}

/**
 * Makes workerd die with its parent. Left alone it outlives a `kill -9` of Node, keeps the port and goes on serving.
 * On Linux the kernel ends it. Elsewhere the next start ends the old workerd by the pid in `workerd.pid`.
 * workerd runs in its own process session, so that Ctrl-C reaches only the launcher, which stops the parts in order.
 */
function tieWorkerd(state: string): void {
  const wrapper = join(state, "workerd.sh");
  const pidFile = join(state, "workerd.pid");
  const tools =
    process.platform === "linux" ? ["setsid", "setpriv"].filter((name) => existsSync(`/usr/bin/${name}`)) : [];
  const prefix = [
    ...(tools.includes("setsid") ? ["setsid"] : []),
    ...(tools.includes("setpriv") ? ["setpriv --pdeathsig KILL"] : []),
  ].join(" ");
  writeFileSync(wrapper, `#!/bin/sh\necho $$ > '${pidFile}'\nexec ${prefix} '${workerd.default}' "$@"\n`, {
    mode: 0o700,
  });
  process.env["MINIFLARE_WORKERD_PATH"] = wrapper;
  endOrphan(pidFile);
}

/** Removes half-written blobs of a killed workerd, to which nothing refers. Call it before workerd starts. */
export function sweepTorn(storage: string): void {
  if (!existsSync(storage)) return;
  for (const path of readdirSync(storage, { recursive: true, encoding: "utf8" }))
    if (/[/\\]blobs[/\\]\.[^/\\]+\.tmp$/.test(path)) rmSync(join(storage, path), { force: true });
}

function endOrphan(pidFile: string): void {
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, "utf8"));
  rmSync(pidFile);
  if (!Number.isInteger(pid) || pid < 2) return;
  try {
    const command = execFileSync("ps", ["-p", String(pid), "-o", "command="], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    if (command.includes("workerd")) process.kill(pid, "SIGKILL");
  } catch {
    // There is no such process.
  }
}

/** Starts the built Worker in Miniflare, through its API: no wrangler, no esbuild in this process. */
export async function startWorker(options: WorkerOptions): Promise<WorkerProcess> {
  mkdirSync(options.state, { recursive: true });
  tieWorkerd(options.state);
  sweepTorn(join(options.state, "storage"));
  const stored = JSON.parse(readFileSync(join(BUILD, "options.json"), "utf8")) as V4WorkerOptions & {
    bindings?: Record<string, Json>;
  };
  const texts = readdirSync(BUILD).filter((name) => name.endsWith(".yaml"));
  const whole = convertV4MiniflareOptions({
    // Miniflare's own entry stays on a random port that nobody uses: without a key it answers requests that our Worker
    // refuses (contents of buckets), and it costs one more request for each request.
    host: "127.0.0.1",
    port: 0,
    cf: false,
    telemetry: { enabled: false },
    resourcePersistencePath: join(options.state, "storage"),
    handleStructuredLogs: ({ message }) => options.onLog(message),
    unsafeHandleRuntimeRestart: () => options.onRestart(),
    workers: [
      {
        ...stored,
        // Part of the path of every session's file: under another name the stored sessions would not be found.
        name: "gantry",
        unsafeDirectSockets: [{ host: options.host, port: options.port }],
        // No request here has this header, and removing it would put a Worker in the way of every global `fetch`
        // (see `nets.ts`).
        stripCfConnectingIp: false,
        modules: [
          {
            type: "ESModule",
            path: join(BUILD, "worker.js"),
            contents: readFileSync(join(BUILD, "worker.js"), "utf8"),
          },
          ...texts.map((name) => ({
            type: "Text" as const,
            path: join(BUILD, name),
            contents: readFileSync(join(BUILD, name), "utf8"),
          })),
        ],
        modulesRoot: BUILD,
        bindings: { ...stored.bindings, ...options.bindings },
        serviceBindings: { ...stored.serviceBindings, PUBLIC_NET, DIRECT_NET: directNet() },
      },
    ],
  });
  const miniflare = new Miniflare(whole);
  await miniflare.ready;
  const url = await miniflare.unsafeGetDirectURL("gantry");
  const reviving = revive(miniflare, whole, options.onRestart);
  // Miniflare's handlers would end the process at once; the launcher has work to do first.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.removeAllListeners(signal);
  return {
    url,
    restart() {
      // `revive` tries again if this fails.
      return miniflare.setOptions(whole).then(options.onRestart, () => {});
    },
    async stop() {
      clearInterval(reviving);
      await sleep(LATER_MS);
      return miniflare.dispose();
    },
  };
}

/**
 * Starts workerd again when Miniflare has given up. Miniflare restarts a workerd that ended, but only once: if the new one
 * ends before it is ready, `ready` rejects from then on. Setting the options starts another one.
 */
function revive(
  miniflare: Miniflare,
  options: ConstructorParameters<typeof Miniflare>[0],
  onRestart: () => void,
): NodeJS.Timeout {
  let trying = false;
  return setInterval(() => {
    if (trying) return;
    trying = true;
    miniflare.ready
      .catch(() => miniflare.setOptions(options).then(onRestart))
      // The next check tries again.
      .catch(() => {})
      .finally(() => (trying = false));
  }, REVIVE_MS);
}
