import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { Alarms } from "../store/alarms.ts";
import type { RunQueue } from "../store/run-queue.ts";
import type { Settings } from "../store/settings.ts";

/** A pending save delays sleep: it is checked this often, and for this long at most. */
const LOOK_MS = 2_000;
const PATIENCE_MS = 3_600_000;

/** Puts a session's sandbox to sleep after its idle time. On one machine the runner does that. */
export class Rest {
  readonly #sandbox: Sandbox;
  readonly #alarms: Alarms;
  readonly #queue: RunQueue;
  readonly #settings: Settings;

  constructor(sandbox: Sandbox, alarms: Alarms, queue: RunQueue, settings: Settings) {
    this.#sandbox = sandbox;
    this.#alarms = alarms;
    this.#queue = queue;
    this.#settings = settings;
  }

  /** Sets when the driver looks at a run again; null: no run needs the sandbox. */
  runsUntil(at: number | null): void {
    this.#alarms.set("driver", at);
    if (at !== null) this.#sandbox.used();
    this.#alarms.set("sandbox", at === null ? this.#sandbox.sleepsAt() : null);
  }

  /** Called by the alarm. */
  async watch(): Promise<void> {
    const at = this.#queue.status() === "idle" ? this.#sandbox.sleepsAt() : null;
    const now = Date.now();
    if (at === null || at > now) return this.#alarms.set("sandbox", at);
    // If this object dies meanwhile, the next one checks what became of the sleep.
    this.#alarms.set("sandbox", now + LOOK_MS);
    if (this.#settings.pendingSave() !== null && now - at < PATIENCE_MS) return;
    await this.#sandbox.sleep();
  }
}
