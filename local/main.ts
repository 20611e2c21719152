import { createHash, randomBytes } from "node:crypto";
import { statfsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { parseRouterConfig } from "@gantry/router/config/config.ts";
import { compileRoutes, defaultModel } from "@gantry/router/routes/routes.ts";
import { DEFAULT_MAX_TURNS } from "@gantry/protocol/run-options.ts";
import { DEFAULT_PERMISSION_MODE, PermissionMode } from "@gantry/protocol/permission-mode.ts";
import type { EngineWish } from "@gantry/protocol/link.ts";
import type { SandboxLevel } from "@gantry/protocol/sandbox.ts";
import { buildWorkerApart } from "./build.ts";
import { lockState } from "./lock.ts";
import { openLog } from "./log-file.ts";
import { openFileLimit, openFilesWarning } from "./open-files.ts";
import { keepRunner } from "./runner-process.ts";
import { BadSetting, readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { watchHealth } from "./watch-health.ts";
import { startWorker } from "./workerd.ts";

/** The isolation level that this program provides: an agent is confined to its own folder by convention only. */
const SANDBOX_LEVEL: SandboxLevel = "weak";

/** `npm start`: the whole product on this machine. */

/**
 * workerd is restarted after six failed checks in a row: half a minute of 503 from `GET /health`, or a minute without an
 * answer. The next restart comes two minutes later at the earliest.
 */
const WATCH = { everyMs: 5_000, answerMs: 5_000, failures: 6, pauseMs: 120_000, mostMs: 1_800_000 } as const;

/** Free bytes that workerd needs to start and to write. */
const ROOM_BYTES = 10_000_000;

try {
  await start(readSettings(process.env, process.cwd()));
} catch (error) {
  console.error(error instanceof BadSetting ? error.message : error);
  process.exit(1);
}

async function start(settings: Settings): Promise<void> {
  const lock = lockState(settings.state);
  if (!lock)
    throw new BadSetting(
      `Another Gantry is running on the state folder ${settings.state}. Stop it, or set GANTRY_STATE to a different folder.`,
    );
  for (const name of settings.secrets) delete process.env[name];
  const port = await freePort(settings.host, settings.port);
  const filesWarning = openFilesWarning(openFileLimit());
  for (const line of [...settings.warnings, ...(filesWarning === null ? [] : [filesWarning])])
    console.log(`Warning: ${line}`);
  if ((await buildWorkerApart()) === "built") console.log("The Worker was built.");

  const log = openLog(settings.state);
  const runnerToken = randomBytes(32).toString("base64url");
  const marker = `${createHash("sha256").update(settings.state).digest("hex").slice(0, 16)}:`;
  const address = urlHost(settings.host);
  const modelsUrl = `http://${settings.host === "0.0.0.0" || settings.host === "::" ? "127.0.0.1" : address}:${port}`;
  const runner = await keepRunner({
    token: runnerToken,
    root: join(settings.state, "sandboxes"),
    markerPrefix: marker,
    idleMs: settings.engines.sleepAfterMs,
    maxEngines: settings.engines.max,
    pool: { size: settings.engines.pool, first: firstWish(settings, modelsUrl) },
    log,
    onRestart: (why) =>
      console.error(`${why}; starting it again. The runs it was working on end with the error sandbox_lost.`),
  });
  const worker = await startWorker({
    host: settings.host,
    port,
    state: settings.state,
    bindings: {
      ...settings.bindings,
      GANTRY_API_KEY: settings.apiKey,
      GANTRY_ENCRYPTION_KEY: settings.encryptionKey,
      LITELLM_CONFIG_TEXT: settings.routes,
      TRIAGE_CONFIG_TEXT: settings.triage,
      RUNNER_URL: `http://127.0.0.1:${runner.port}`,
      RUNNER_TOKEN: runnerToken,
      MODELS_URL: modelsUrl,
      GANTRY_POOL: String(settings.engines.pool),
      SANDBOX_LEVEL,
    },
    onLog: log,
    onRestart: () => console.error("workerd ended and was started again; runs in progress continue."),
  });

  const unwatch = watchHealth({
    ...WATCH,
    url: `${modelsUrl}/health`,
    canHelp: () => hasRoom(settings.state),
    restart: () => void worker.restart(),
    say: (entry) => log(JSON.stringify({ at: new Date().toISOString(), from: "launcher", ...entry })),
  });

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    unwatch();
    console.log(`\n${signal}: stopping. Queued prompts and open approvals continue at the next start.`);
    // The runner stops first, while the Worker can still store its last events.
    void runner
      .stop()
      .then(() => worker.stop())
      .then(() => lock.release())
      .finally(() => process.exit(0));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  followNpm(stop);
  sayReady(settings, `http://${address}:${worker.url.port}`);
}

/** Whether a restart can help: it cannot on a full disk. */
function hasRoom(state: string): boolean {
  const { bavail, bsize } = statfsSync(state);
  return bavail * bsize >= ROOM_BYTES;
}

/**
 * Stops when npm ends: after `kill -9` of `npm start` the launcher would go on with nobody to stop it. Only under npm,
 * because a launcher that was put in the background on purpose outlives its parent.
 */
function followNpm(stop: (why: string) => void): void {
  if (!process.env["npm_lifecycle_event"]) return;
  const npm = process.ppid;
  setInterval(() => process.ppid !== npm && stop("npm is gone"), 1_000).unref();
}

/** Returns the port after checking that it is free: workerd reports a taken port late and at length. 0 picks a free one. */
async function freePort(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
      .once("error", (error: NodeJS.ErrnoException) => {
        reject(
          new BadSetting(
            error.code === "EADDRINUSE"
              ? `Port ${port} on ${host} is already in use. Set PORT to a different one.`
              : `HOST ${host}, PORT ${port}: ${error.message}`,
          ),
        );
      })
      .listen(port, host, () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address === "object" && address ? address.port : port));
      });
  });
}

/** The engine that the first prompt will probably need: the one for `POST /claude-code` with a prompt and no options. */
function firstWish(settings: Settings, baseUrl: string): EngineWish | null {
  const { config } = parseRouterConfig(settings.routes);
  const model = defaultModel(settings.bindings, config);
  const contextTokens = compileRoutes(config).match(model)?.entries[0]?.contextTokens;
  const mode = settings.bindings["GANTRY_PERMISSION_MODE"] ?? DEFAULT_PERMISSION_MODE;
  const permissionMode = PermissionMode.safeParse(mode === "full" ? "bypassPermissions" : mode);
  return {
    options: { model, permissionMode: permissionMode.data ?? "default", maxTurns: DEFAULT_MAX_TURNS },
    models: { baseUrl, ...(contextTokens === undefined ? {} : { contextTokens }) },
  };
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function sayReady(settings: Settings, url: string): void {
  const { config } = parseRouterConfig(settings.routes);
  const model = defaultModel(settings.bindings, config);
  const lines = [
    `Gantry is ready at ${url}`,
    "",
    `API key:  ${settings.apiKey}`,
    `Model:    ${model}${model.startsWith("demo/") ? " (a scripted demonstration model, because no provider key was found; set ANTHROPIC_API_KEY, OPENROUTER_API_KEY, GROQ_API_KEY or OPENAI_API_KEY to use a real model)" : ""}`,
    `Sandbox:  ${SANDBOX_LEVEL}. Agents run as your user, each in its own folder with its own HOME. There is no jail yet, so shell commands are refused unless a request sets permissionMode to bypassPermissions.`,
    `State:    ${settings.state}`,
    "",
    "Try:",
    `  curl -N -H "Authorization: Bearer ${settings.apiKey}" -d '{"prompt":"What is 7 * 6?"}' ${url}/claude-code`,
    "",
  ];
  console.log(lines.join("\n"));
}
