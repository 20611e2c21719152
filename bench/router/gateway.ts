import type { ChildProcess } from "node:child_process";

/** Something between a client and a provider, running. */
export interface Gateway {
  readonly url: string;
  readonly child: ChildProcess;
}

/** Which conversation a client has with a gateway. */
export interface Lane {
  readonly name: string;
  /** Lanes of one program share a process where CPU time is measured, as they do in use. */
  readonly program: string;
  /** Starts the gateway behind this lane, its provider being the one at `upstream` (an address with a path). */
  readonly start: (upstream: string) => Promise<Gateway>;
  readonly path: "/v1/messages" | "/v1/chat/completions";
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
}
