import type { Env } from "../base/env.ts";
import { directFetch } from "../base/net.ts";
import { NotDestroyed, RUNNER_PORT } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";

/** Time for the runner to end a session's processes. */
const FORGET_TIMEOUT_MS = 10_000;

/** Address and token of the runner on this machine. */
export interface LocalRunner {
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
}

/** The runner that the launcher started, from the environment. */
export function localRunner(env: Env): LocalRunner {
  return {
    url: env.RUNNER_URL ?? "http://127.0.0.1:0",
    token: env.RUNNER_TOKEN ?? "",
    fetch: directFetch(env),
  };
}

/** The runner's port, shared by all sessions. */
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
 * The sandbox on a single machine: one runner hosts many sessions, on a loopback port behind a token. The launcher
 * starts and watches the runner, so there is nothing to start here.
 */
export function localSandbox(sessionId: string, runner: LocalRunner, modelsUrl: string): Sandbox {
  const getTcpPort: Sandbox["getTcpPort"] = () => runnerPort(runner);
  return {
    async start() {},
    costsToStart: () => false,
    getTcpPort,
    models: { baseUrl: modelsUrl },
    // The runner itself ends idle engines.
    used() {},
    sleepsAt: () => null,
    async sleep() {},
    async destroy() {
      // The session's files stay on this machine until the runner has put them out of use, so a failure must be seen.
      const answer = await getTcpPort(RUNNER_PORT)
        .fetch(`http://runner/sessions/${sessionId}`, {
          method: "DELETE",
          signal: AbortSignal.timeout(FORGET_TIMEOUT_MS),
        })
        .catch((error: unknown) => {
          throw new NotDestroyed("It does not answer.", { cause: error });
        });
      await answer.body?.cancel();
      if (!answer.ok) throw new NotDestroyed(`It answered ${answer.status}.`);
    },
  };
}
