import type { Env } from "../base/env.ts";
import { directFetch } from "../base/net.ts";
import { RUNNER_PORT } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";

/** Time for the runner to end what a session has there. */
const FORGET_TIMEOUT_MS = 10_000;

/** The runner on this machine, and what opens it. */
export interface LocalRunner {
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
}

export function localRunner(env: Env): LocalRunner {
  return {
    url: env.RUNNER_URL ?? "http://127.0.0.1:0",
    token: env.RUNNER_TOKEN ?? "",
    fetch: directFetch(env),
  };
}

/** Its port, which is the same for all sessions. */
export function runnerPort(runner: LocalRunner): ReturnType<Sandbox["getTcpPort"]> {
  return {
    fetch(url, init) {
      const target = new URL(url);
      const headers = new Headers(init?.headers);
      headers.set("authorization", `Bearer ${runner.token}`);
      return runner.fetch(new URL(target.pathname + target.search, runner.url), { ...init, headers });
    },
  };
}

/**
 * One machine: a runner that hosts many sessions, started and watched by the launcher, on a loopback port behind a
 * token. There is nothing to start here.
 */
export function localSandbox(sessionId: string, runner: LocalRunner, modelsUrl: string): Sandbox {
  const getTcpPort: Sandbox["getTcpPort"] = () => runnerPort(runner);
  return {
    async start() {},
    costsToStart: () => false,
    getTcpPort,
    models: { baseUrl: modelsUrl },
    // The runner ends engines that rest.
    used() {},
    sleepsAt: () => null,
    async sleep() {},
    async destroy() {
      // A runner that is gone holds nothing.
      await getTcpPort(RUNNER_PORT)
        .fetch(`http://runner/sessions/${sessionId}`, {
          method: "DELETE",
          signal: AbortSignal.timeout(FORGET_TIMEOUT_MS),
        })
        .catch(() => null);
    },
  };
}
