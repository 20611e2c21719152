import type { Sandbox } from "./sandbox.ts";

/**
 * One machine: a runner that hosts many sessions, started and watched by the launcher, on a loopback port behind a
 * token. There is nothing to start here, and every session's port is the same one.
 */
export function localSandbox(runner: { readonly url: string; readonly token: string }): Sandbox {
  return {
    start() {},
    getTcpPort() {
      return {
        fetch(url, init) {
          const target = new URL(url);
          const headers = new Headers(init?.headers);
          headers.set("authorization", `Bearer ${runner.token}`);
          return fetch(new URL(target.pathname + target.search, runner.url), { ...init, headers });
        },
      };
    },
  };
}
