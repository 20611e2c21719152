/**
 * The interface to an isolated machine, shaped like the parts of `ctx.container` that are used here. `container.ts`
 * implements it with a Cloudflare Container per session, `local.ts` with the runner on this machine.
 */
export interface Sandbox {
  /** Starts the sandbox unless it runs. Resolves when its runner answers; rejects with `NoCapacity` or another cause. */
  start(): Promise<void>;
  /** Whether a start now would cost money. If so, the caller waits for a prompt. */
  costsToStart(): boolean;
  /** The runner's port. Its `fetch` can upgrade to a WebSocket, and adds the runner's credential. */
  getTcpPort(port: number): { fetch(url: string, init?: RequestInit): Promise<Response> };
  /** Where engines send model calls, and the token they use there, if not the session's. */
  readonly models: { readonly baseUrl: string; readonly token?: string };
  /** Notes that a run needs the sandbox now. */
  used(): void;
  /** When an unused sandbox should sleep, in milliseconds since 1970; null when the session need not do anything. */
  sleepsAt(): number | null;
  /** Puts the sandbox to sleep if that time has come. Its processes are asked to end first. */
  sleep(): Promise<void>;
  /** Ends the sandbox and removes what it holds of the session. Rejects with `NotDestroyed` when it may still hold something. */
  destroy(): Promise<void>;
}

/** Port of the runner inside a sandbox. */
export const RUNNER_PORT = 8080;

/** The sandbox may still hold files of the session; the caller should try again. */
export class NotDestroyed extends Error {}

/** No machine is free for this session now; one may be free later. */
export class NoCapacity extends Error {}
