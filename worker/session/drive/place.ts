import { NoCapacity } from "../../sandbox/sandbox.ts";
import type { DriverDeps } from "./driver-deps.ts";

/** A machine for the sandbox, while there is none. */
export class Place {
  #toldRun: string | null = null;

  /**
   * Whether a dial failed because no machine is free: the run says so once, and waits for as long as it takes. Not one
   * that had begun: its sandbox is not there any more.
   */
  isAwaited({ queue, log, now, newEventId }: DriverDeps, error: unknown): boolean {
    const run = queue.running();
    if (!(error instanceof NoCapacity) || run?.sentTo !== null) return false;
    if (this.#toldRun !== run.id) {
      this.#toldRun = run.id;
      log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "sandbox.waiting", position: 0 } }]);
      log.announce();
    }
    return true;
  }
}
