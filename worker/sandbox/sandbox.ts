/**
 * The seam to an isolated machine, in the shape of `ctx.container` reduced to what we use. `container.ts` gives it to a
 * Cloudflare Container of the session's own; on one machine `local.ts` gives it to the runner on loopback.
 */
export interface Sandbox {
  /** Has it running. Returns when its runner answers; throws `NoCapacity`, or what kept it from starting. */
  start(): Promise<void>;
  /** Whether a start now is paid for: then it waits for a prompt. */
  costsToStart(): boolean;
  /** The runner's port. `fetch` upgrades to a WebSocket like any other, and carries what the runner asks for. */
  getTcpPort(port: number): { fetch(url: string, init?: RequestInit): Promise<Response> };
  /** Where engines in it send their model calls, and what they show there in place of the session's token, if anything. */
  readonly models: { readonly baseUrl: string; readonly token?: string };
  /** A run needs it now. */
  used(): void;
  /** Nothing needs it: when it is to sleep, in milliseconds since 1970; null where nothing has to be done for that. */
  sleepsAt(): number | null;
  /** Has it sleep, if that time has come. What is in it has been told to end before it goes. */
  sleep(): Promise<void>;
  /** Ends it and what it holds of the session. */
  destroy(): Promise<void>;
}

/** Port of the runner inside a sandbox. */
export const RUNNER_PORT = 8080;

/** No machine is free for this session now; one may be later. */
export class NoCapacity extends Error {}
