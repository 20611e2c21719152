/**
 * The seam to an isolated machine, in the shape of `ctx.container` reduced to what we use. A Cloudflare Container has
 * this shape by nature; on one machine `local.ts` gives it to the runner on loopback.
 */
export interface Sandbox {
  /** Begins to start it if it does not run. Returns before it is ready: the first dial may fail and is tried again. */
  start(): void;
  /** The runner's port. `fetch` upgrades to a WebSocket like any other. */
  getTcpPort(port: number): { fetch(url: string, init?: RequestInit): Promise<Response> };
}

/** Port of the runner inside a sandbox. */
export const RUNNER_PORT = 8080;
