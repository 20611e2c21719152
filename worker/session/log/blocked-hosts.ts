import { newId } from "@gantry/protocol/ids.ts";
import type { EventLog } from "./event-log.ts";
import type { RunQueue } from "../store/run-queue.ts";

/** Maximum number of hosts that the log names per run: code in a sandbox may try any number. */
const MAX_HOSTS = 50;

/** Records blocked attempts to leave the sandbox: each host once per run. */
export class BlockedHosts {
  readonly #log: EventLog;
  readonly #queue: RunQueue;
  #run: string | null = null;
  #hosts = new Set<string>();

  constructor(log: EventLog, queue: RunQueue) {
    this.#log = log;
    this.#queue = queue;
  }

  note({ host, method }: { host: string; method: string }): void {
    const runId = this.#queue.running()?.id ?? null;
    if (runId !== this.#run) this.#hosts = new Set();
    this.#run = runId;
    if (this.#hosts.has(host) || this.#hosts.size >= MAX_HOSTS) return;
    this.#hosts.add(host);
    const event = { type: "sandbox.egress_blocked" as const, host: host.slice(0, 260), method: method.slice(0, 20) };
    this.#log.append([{ id: newId("event"), runId, at: Date.now(), event }]);
    this.#log.announce();
  }
}
