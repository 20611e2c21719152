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

/** How often it is looked whether workerd could not be started again. */
const REVIVE_MS = 1_000;

/** What the Worker does a little after an answer (`worker/base/later.ts`) is done by then. */
const LATER_MS = 200;

/** The running Worker. */
export interface WorkerProcess {
  readonly url: URL;
  /** Ends workerd, however it is, and starts another. */
  restart(): Promise<void>;
  /** Ends it when what it has still to write down is written. */
  stop(): Promise<void>;
}

/**
 * Makes workerd die with its parent. By itself it outlives a `kill -9` of Node, keeps the port and goes on serving.
 * On Linux the system does it; elsewhere the next start ends what the last one left, by the pid noted here.
 * In a session of its own, so that Ctrl-C is heard by the launcher alone, which ends things in order.
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

/** Removes the blobs that a workerd was killed while it wrote: nothing knows of them. Before another one starts. */
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
    // No such process: nothing was left.
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
    // Miniflare's own entry, which nobody is told of: it answers more than our Worker does (contents of buckets,
    // without a key), and each request through it is a request more.
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
        // Part of the path of every session's file: with another name all of them would be gone.
        name: "gantry",
        unsafeDirectSockets: [{ host: options.host, port: options.port }],
        // Taken out of what nobody puts in, of every call that goes out by the global `fetch`; the others: see `nets.ts`.
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
  // Miniflare's own handlers end the process at once; the launcher has things to do first.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.removeAllListeners(signal);
  return {
    url,
    restart() {
      // What fails here is tried again by `revive`.
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
 * Miniflare starts a workerd that ended again, once: one that ends before it is ready stays ended. `ready` says so from
 * then on, and new options make another.
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
      // Tried again at the next look.
      .catch(() => {})
      .finally(() => (trying = false));
  }, REVIVE_MS);
}
