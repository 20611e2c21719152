import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Scope } from "../kit/scope.ts";
import type { Gateway } from "./gateway.ts";

/** Other gateways that a Claude Code user may install from npm; they are not dependencies of Gantry. */

const PACKAGES = ["copilot-api@0.7.0", "@musistudio/claude-code-router@2.0.0"];
const INSTALL_MS = 180_000;
const START_MS = 30_000;

/** Installs them into a folder of the scope. Rejects if the registry cannot be reached or lacks one of them. */
export async function installPeers(scope: Scope): Promise<string> {
  const folder = join(scope.folder, "peers");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{"private":true}');
  await promisify(execFile)(
    "npm",
    ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", ...PACKAGES],
    { cwd: folder, timeout: INSTALL_MS },
  );
  return join(folder, "node_modules");
}

export async function startCopilotApi(scope: Scope, modules: string, upstream: string): Promise<Gateway> {
  const port = await freePort();
  const preload = fileURLToPath(new URL("./copilot-preload.ts", import.meta.url));
  const main = join(modules, "copilot-api", "dist", "main.js");
  const args = ["--import", preload, main, "start", "--port", String(port), "--github-token", "bench"];
  const child = scope.spawn(process.execPath, args, {
    env: environment(scope, { BENCH_UPSTREAM: upstream, NODE_ENV: "production" }),
    stdio: "ignore",
  });
  return whenOpen({ url: `http://127.0.0.1:${port}`, child });
}

export async function startClaudeCodeRouter(scope: Scope, modules: string, upstream: string): Promise<Gateway> {
  const port = await freePort();
  const home = join(scope.folder, `ccr-${port}`);
  mkdirSync(join(home, ".claude-code-router"), { recursive: true });
  writeFileSync(
    join(home, ".claude-code-router", "config.json"),
    JSON.stringify({
      PORT: port,
      HOST: "127.0.0.1",
      LOG: false,
      NON_INTERACTIVE_MODE: true,
      Providers: [
        {
          name: "bench",
          api_base_url: `${upstream}/v1/chat/completions`,
          api_key: "sk-bench",
          models: ["bench-model"],
        },
      ],
      Router: { default: "bench,bench-model" },
    }),
  );
  const main = join(modules, "@musistudio", "claude-code-router", "dist", "cli.js");
  const child = scope.spawn(process.execPath, [main, "start"], {
    env: { ...environment(scope, {}), HOME: home, SERVICE_PORT: String(port) },
    stdio: "ignore",
  });
  return whenOpen({ url: `http://127.0.0.1:${port}`, child });
}

function environment(scope: Scope, more: Record<string, string>): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: scope.folder, ...more };
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** Any response means that it is listening. */
async function whenOpen(gateway: Gateway): Promise<Gateway> {
  const deadline = Date.now() + START_MS;
  while (gateway.child.exitCode === null && Date.now() < deadline) {
    const answer = await fetch(gateway.url).catch(() => null);
    await answer?.body?.cancel();
    if (answer) return gateway;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("it did not start");
}
